"""A proxy in front of llamactl, at a path of a site as a reverse proxy would have it."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HOP = {"connection", "transfer-encoding", "keep-alive"}


@contextmanager
def below(prefix: str, url: str, added: Mapping[str, str] | None = None) -> Iterator[str]:
    """Takes the prefix off each path, passes Host and Origin on; yields the new address.

    `added`: headers.
    """

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def forward(self) -> None:
            if not self.path.startswith(f"{prefix}/"):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            connection = http.client.HTTPConnection(urlsplit(url).netloc)
            try:
                path = self.path.removeprefix(prefix)
                headers = {**dict(self.headers), **(added or {})}
                connection.request(self.command, path, body, headers)
                answer = connection.getresponse()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in HOP:
                        self.send_header(name, value)
                self.send_header("connection", "close")
                self.end_headers()
                while data := answer.read1(1 << 16):
                    self.wfile.write(data)
            except OSError:
                pass  # either side left
            finally:
                connection.close()

        do_GET = do_POST = do_PUT = do_DELETE = forward

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True  # streams end with whoever reads them
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{prefix}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
