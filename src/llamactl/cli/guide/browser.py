"""`llamactl open`: a link to llamactl's page that signs in, and the browser that opens it."""

from __future__ import annotations

import html
import os
import sys
import tempfile
import webbrowser
from pathlib import Path

import typer

from llamactl.cli.session import Session
from llamactl.core.errors import LlamactlError

_REDIRECT = """<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={link}">
<title>llamactl</title>
<a href="{link}">Open llamactl</a>
"""


def open_own_page(s: Session, *, browser: bool) -> None:
    """`browser`: open one, where there is a terminal and a desktop."""
    url, note = _link(s)
    if s.as_json:
        s.print_json({"url": url, "note": note})
        return
    typer.echo(url)
    typer.echo(note, err=True)
    if browser and sys.stdout.isatty() and _has_desktop():
        _open(url)


def _link(s: Session) -> tuple[str, str]:
    """An address of the page, and what to know of it."""
    base = f"{s.client.url.rstrip('/')}/"
    try:
        made = s.client.sign_in_link()
    except LlamactlError as exc:
        if exc.code != "not_local":
            raise
        return base, "No link that signs in: the server is not on this machine. Sign in with a key."
    if made.lasts_s is None:
        return base, "No sign-in is needed."
    return base + made.path, (
        f"This link signs in once, within {made.lasts_s:.0f} s, in a browser on this machine."
    )


def _open(url: str) -> None:
    """By a file that only this user can read: others see the command lines of programs."""
    handle, name = tempfile.mkstemp(prefix="llamactl-", suffix=".html")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(_REDIRECT.format(link=html.escape(url)))
    try:
        opened = webbrowser.open(Path(name).as_uri())
    except webbrowser.Error:
        opened = False
    if not opened:
        Path(name).unlink()
        typer.echo("No browser could be started; open the link yourself.", err=True)


def _has_desktop() -> bool:
    if "SSH_CONNECTION" in os.environ:
        return False  # the browser would be on the other machine
    return sys.platform == "darwin" or any(
        os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY")
    )
