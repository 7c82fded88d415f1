"""`llamactl serve`: run the server until it is stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from llamactl.cli.guide.examples import examples


@examples("llamactl serve", "llamactl serve --config llamactl.yaml --port 9000")
def serve(
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Settings file.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 picks one.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Data directory.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log debug messages.")] = False,
) -> None:
    """Keep the instances running and serve the API until Ctrl-C."""
    from llamactl.cli.process import run

    server = {k: v for k, v in (("host", host), ("port", port)) if v is not None}
    flags: dict[str, Any] = {"server": server} if server else {}
    if data_dir is not None:
        flags["data_dir"] = str(data_dir)
    run(config, flags, verbose=verbose)
