"""The web page at `/`, from the files that `make ui` builds into the package.

It lives at one address: its own routes are in the fragment and its links are relative, so it
works below any prefix that a proxy strips.
"""

from __future__ import annotations

import secrets
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from llamactl.core.errors import NotFound

router = APIRouter(include_in_schema=False)
_BUILT = Path(__file__).parents[3] / "page"
_NONCE = "__NONCE__"  # as webui/index.html has it
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
_CODINGS = (("br", ".br"), ("gzip", ".gz"))  # best first
_YEAR_S = 31536000
# Styles that the page adds while it runs carry the nonce: https://www.w3.org/TR/CSP3/
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; "
    "img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_NOT_BUILT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>llamactl</title></head>
<body><h1>llamactl</h1><p>The server is running, but its web page is not built: run
<code>make ui</code>, or use the command line and the API.</p></body></html>
"""


@router.api_route("/models", methods=["GET", "HEAD"])
async def instead_of_the_list() -> HTMLResponse:
    """For browsers. Other clients get the model list, which isn't served here."""
    return await index()


@router.api_route("/models/{name:path}", methods=["GET", "HEAD"])
async def instead_of_a_model(name: str) -> RedirectResponse:
    """Redirect to the address that the page's relative links are based on."""
    up = "../" * (name.count("/") + 1)
    return RedirectResponse(f"{up}#/models", headers={"vary": "accept"})


@router.api_route("/", methods=["GET", "HEAD"])
async def root(request: Request) -> Response:
    """The web page. Ollama clients check here whether it runs, and get what they expect."""
    accept = request.headers.get("accept", "*/*")
    wants_page = "text/html" in accept or accept.strip() == "*/*"
    if getattr(request.state, "path_key", False) or not wants_page:
        return PlainTextResponse("Ollama is running", headers={"vary": "accept"})
    return await index()


async def index() -> HTMLResponse:
    nonce = secrets.token_urlsafe(18)
    headers = {
        **_HEADERS,
        "content-security-policy": _POLICY.format(nonce=nonce),
        "cache-control": "no-cache",
        "vary": "accept",
    }
    return HTMLResponse(_index().replace(_NONCE, nonce), headers=headers)


@router.api_route("/assets/{name}", methods=["GET", "HEAD"])
async def asset(name: str, request: Request) -> Response:
    """The name contains a hash of the content, so the file never changes."""
    kind = _TYPES.get(Path(name).suffix)
    path = _BUILT / "assets" / name
    if kind is None or "/" in name or "\\" in name or not path.is_file():
        raise NotFound(f"the web page has no file {name[:200]!r}")
    accepted = {
        word.partition(";")[0].strip()
        for word in request.headers.get("accept-encoding", "").split(",")
    }
    headers = {
        **_HEADERS,
        "cache-control": f"public, max-age={_YEAR_S}, immutable",
        "vary": "accept-encoding",
    }
    for coding, suffix in _CODINGS:
        packed = path.with_name(name + suffix)
        if coding in accepted and packed.is_file():
            headers["content-encoding"] = coding
            path = packed
            break
    return Response(_content(path), media_type=kind, headers=headers)


def _index() -> str:
    """Read each time, because the page may be built while we serve."""
    built = _BUILT / "index.html"
    return built.read_text(encoding="utf-8") if built.is_file() else _NOT_BUILT


@cache
def _content(path: Path) -> bytes:
    return path.read_bytes()
