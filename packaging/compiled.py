"""Compiles what each request goes through, with mypyc (docs/decisions/0028).

    python packaging/compiled.py FOLDER

FOLDER gets the extension modules for the Python that runs this, at their places in the package.
Each replaces the module of the same name, which stays beside it for tracebacks. What was compiled
last is kept in build/compiled, and used again while nothing that it depends on has changed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from contextlib import redirect_stdout, suppress
from importlib.metadata import version
from io import StringIO
from pathlib import Path

SOURCES = Path(__file__).parents[1] / "src"
KEPT = Path(__file__).parents[1] / "build/compiled"
MODULES = (
    "llamactl/core/keys.py",
    "llamactl/core/lease.py",
    "llamactl/core/ports/context_use.py",
    "llamactl/observe/meters.py",
    "llamactl/policy/body/model.py",
    "llamactl/policy/body/stream_ending.py",
    "llamactl/policy/body/token_counts.py",
    "llamactl/proxy/http/chunks.py",
    "llamactl/proxy/http/client_connection.py",
    "llamactl/proxy/http/client_memory.py",
    "llamactl/proxy/http/connections.py",
    "llamactl/proxy/http/engine_connection.py",
    "llamactl/proxy/http/heads.py",
    "llamactl/proxy/http/request.py",
    "llamactl/proxy/http/response.py",
    "llamactl/proxy/http/turns.py",
    "llamactl/proxy/http/unread.py",
    "llamactl/proxy/relay/accounts/accounting.py",
    "llamactl/proxy/relay/accounts/recent.py",
    "llamactl/proxy/relay/answer_work.py",
    "llamactl/proxy/relay/body.py",
    "llamactl/proxy/relay/context.py",
    "llamactl/proxy/relay/exchange.py",
    "llamactl/proxy/relay/leases.py",
    "llamactl/proxy/relay/pool.py",
    "llamactl/proxy/relay/rewriting/answering.py",
    "llamactl/proxy/relay/rewriting/model_name.py",
    "llamactl/proxy/relay/rewriting/rewritten.py",
    "llamactl/proxy/relay/rewriting/uncached.py",
    "llamactl/proxy/routing/endpoints.py",
    "llamactl/proxy/routing/entry.py",
    "llamactl/proxy/routing/model.py",
    "llamactl/proxy/stages/client.py",
    "llamactl/proxy/stages/exchange.py",
    "llamactl/proxy/stages/table.py",
    "llamactl/proxy_process/relaying/context_use.py",
)
# What is not installed where this is built counts as untyped, which costs some speed and no more.
_MYPY = """
[mypy]
explicit_package_bases = true
ignore_missing_imports = true
mypy_path = .
cache_dir = {cache}
"""


def compile_into(folder: Path) -> None:
    """Raises SystemExit if it fails; what mypyc and the compiler say is on standard error."""
    kept = KEPT / _state()
    if not kept.exists():
        _compile(folder)
        shutil.rmtree(KEPT, ignore_errors=True)
        shutil.copytree(folder, KEPT / "new")
        (KEPT / "new").rename(kept)
    shutil.copytree(kept, folder, dirs_exist_ok=True)


def _state() -> str:
    """Of all that decides what comes out: types of one module are used in others."""
    digest = hashlib.sha256(f"{sys.version} {version('mypy')} {os.environ.get('CC')}".encode())
    for path in [Path(__file__), *sorted(SOURCES.rglob("*.py"))]:
        digest.update(f"{path.relative_to(SOURCES.parent)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _compile(folder: Path) -> None:
    from mypyc.build import mypycify
    from setuptools import setup

    with tempfile.TemporaryDirectory(prefix="llamactl-compiled-") as name:
        place = Path(name)
        config = place / "mypy.ini"
        config.write_text(_MYPY.format(cache=place / "cache"))
        os.chdir(SOURCES)
        said = StringIO()
        with suppress(SystemExit), redirect_stdout(said):  # why it exits is printed
            extensions = mypycify(
                ["--config-file", str(config), *MODULES], target_dir=str(place / "c"),
                group_name="llamactl", opt_level="3", debug_level="0",
            )  # fmt: skip
        if problems := said.getvalue():  # errors, and what would not do what plain Python does
            raise SystemExit(problems)
        setup(
            name="llamactl", packages=[], ext_modules=extensions,
            script_args=["--quiet", "build_ext", "--build-lib", str(folder),
                         "--build-temp", str(place / "o")],
        )  # fmt: skip


if __name__ == "__main__":
    compile_into(Path(sys.argv[1]).resolve())
