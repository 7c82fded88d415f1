"""A hub of our own, for the real huggingface_hub: what it asks, in the form that is documented.

https://huggingface.co/docs/hub/api, https://huggingface.co/docs/huggingface_hub. Files come by a
redirect to another host, as from a CDN.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "c" * 40
CHANGED = "2026-03-04T05:06:07.000Z"  # the last change of every repository


@dataclass
class Asked:
    host: str
    method: str
    path: str
    token: str
    start: int = 0
    sent: int = 0  # bytes of a file


@dataclass
class Hub:
    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    licenses: dict[str, str] = field(default_factory=dict)  # by repository
    broken: Callable[[Handler], None] | None = None  # what the API answers instead
    gated: set[str] = field(default_factory=set)
    cuts: deque[int] = field(default_factory=deque)  # bytes after which a file's answer breaks
    statuses: deque[int] = field(default_factory=deque)  # of the next answers to a file
    pause_at: int = 0  # a file's byte before which it waits for `go_on`
    hangs_up: bool = False  # and then sends no more
    knows_ranges: bool = True
    claims: dict[str, int] = field(default_factory=dict)  # sizes that are not so, by file
    asked: list[Asked] = field(default_factory=list)
    paused: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    url: str = ""
    cdn: str = ""

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """Which bytes of files were sent, in order."""
        return [(a.start, a.start + a.sent) for a in self.asked if a.sent]

    def environment(self, cache: object) -> dict[str, str]:
        return {"HF_ENDPOINT": self.url, "HF_HUB_CACHE": str(cache), "HF_HUB_DISABLE_XET": "1"}


@contextmanager
def hub() -> Iterator[Hub]:
    made = Hub()
    servers = [
        ThreadingHTTPServer((host, 0), type("Handler", (Handler,), {"hub": made}))
        for host in ("127.0.0.1", "127.0.0.2")
    ]
    made.url, made.cdn = (f"http://{s.server_name}:{s.server_port}" for s in servers)
    threads = [threading.Thread(target=s.serve_forever, args=(0.02,)) for s in servers]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        made.go_on.set()
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        host = self.headers["host"]
        asked = Asked(host, self.command, path, self.headers.get("authorization", ""))
        self.hub.asked.append(asked)
        parts = path.strip("/").split("/")
        if parts[0] == "api" and self.hub.broken is not None:
            self.close_connection = True
            self.hub.broken(self)
        elif parts == ["api", "models"]:
            self._search(parse_qs(urlsplit(self.path).query))
        elif parts[0] == "api":
            self._info("/".join(parts[2:4]), asked)
        elif parts[0] == "cdn":
            self._file(self.hub.repos["/".join(parts[1:3])]["/".join(parts[3:])], asked)
        else:
            self._redirect("/".join(parts[:2]), "/".join(parts[4:]), asked)

    def _refused(self, repo: str, asked: Asked) -> bool:
        if repo not in self.hub.repos:
            return self._error(401, "RepoNotFound", "Repository not found")
        if repo in self.hub.gated and asked.token != "Bearer hf_good":
            return self._error(401 if not asked.token else 403, "GatedRepo", "it is gated")
        return False

    def _error(self, status: int, code: str, message: str) -> bool:
        body = json.dumps({"error": message}).encode()
        headers = {"x-error-code": code, "x-error-message": message}
        self._head(status, headers, len(body))
        if self.command == "GET":
            self.wfile.write(body)
        return True

    def _head(self, status: int, headers: dict[str, str], length: int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(length))
        self.end_headers()

    def _search(self, query: dict[str, list[str]]) -> None:
        words = query.get("search", [""])[0].lower()
        rows = [
            {"id": repo, "modelId": repo, "downloads": 1234 * n, "likes": n, "private": False,
             "gated": "manual" if repo in self.hub.gated else False,
             "tags": [*query["filter"], *self._tags(repo)], "lastModified": CHANGED}
            for n, repo in enumerate(self.hub.repos, 1)
            if words in repo.lower()
        ]  # fmt: skip
        body = json.dumps(rows).encode()
        self._head(200, {"content-type": "application/json"}, len(body))
        self.wfile.write(body)

    def _tags(self, repo: str) -> list[str]:
        return [f"license:{self.hub.licenses[repo]}"] if repo in self.hub.licenses else []

    def _info(self, repo: str, asked: Asked) -> None:
        if self._refused(repo, asked):
            return
        rows = [
            {"rfilename": name, "size": self.hub.claims.get(name, len(data)),
             "blobId": hashlib.sha1(data).hexdigest(),
             "lfs": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data),
                     "pointerSize": 134}}
            for name, data in self.hub.repos[repo].items()
        ]  # fmt: skip
        said = {"id": repo, "modelId": repo, "sha": COMMIT, "siblings": rows, "private": False,
                "tags": self._tags(repo), "lastModified": CHANGED}  # fmt: skip
        body = json.dumps(said).encode()
        self._head(200, {"content-type": "application/json"}, len(body))
        self.wfile.write(body)

    def _redirect(self, repo: str, name: str, asked: Asked) -> None:
        if self._refused(repo, asked):
            return
        data = self.hub.repos[repo].get(name)
        if data is None:
            self._error(404, "EntryNotFound", "Entry not found")
            return
        if self.command == "GET" and self.hub.statuses and (status := self.hub.statuses.popleft()):
            self._head(status, {"retry-after": "0"}, 0)
            return
        digest = hashlib.sha256(data).hexdigest()
        headers = {
            "location": f"{self.hub.cdn}/cdn/{repo}/{name}",
            "x-repo-commit": COMMIT,
            "x-linked-etag": f'"{digest}"',
            "x-linked-size": str(len(data)),
            "etag": f'"{digest}"',
        }
        self._head(302, headers, 0)

    def _file(self, data: bytes, asked: Asked) -> None:
        start = 0
        given = self.headers.get("range", "")
        if given and self.hub.knows_ranges:
            start = int(given.removeprefix("bytes=").partition("-")[0])
        rest = data[start:]
        headers = {"content-range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        self._head(206 if start else 200, headers if start else {}, len(rest))
        if self.command == "HEAD":
            return
        asked.start = start
        most = min(self.hub.cuts.popleft(), len(rest)) if self.hub.cuts else len(rest)
        if self.hub.pause_at and start <= self.hub.pause_at < start + most:
            self._send(rest[: self.hub.pause_at - start], asked)
            self.hub.paused.set()
            self.hub.go_on.wait(30)
            if self.hub.hangs_up:
                self.close_connection = True
                return
            rest, most = rest[self.hub.pause_at - start :], most - (self.hub.pause_at - start)
        self._send(rest[:most], asked)
        if most < len(rest):
            self.close_connection = True

    def _send(self, data: bytes, asked: Asked) -> None:
        try:
            self.wfile.write(data)
            self.wfile.flush()
            asked.sent += len(data)
        except OSError:
            self.close_connection = True
