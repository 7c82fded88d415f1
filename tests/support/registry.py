"""A registry of images over HTTP that serves one image, as far as a test lets it.

https://distribution.github.io/distribution/spec/api/
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from support.containers import ContainerEngine
from support.waits import WITHIN_S

_DOCKER = "application/vnd.docker."
_MANIFEST = f"{_DOCKER}distribution.manifest.v2+json"
_PIECE = 1 << 16


class Registry(ThreadingHTTPServer):
    def __init__(self, archive: bytes) -> None:
        """`archive`: as `docker save` writes it."""
        super().__init__(("127.0.0.1", 0), _Answer)
        self.goes_on = threading.Event()  # until then, the last layer stops in the middle
        self.fetched = 0  # times that it was asked for
        self.blobs: dict[str, bytes] = {}
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            [image] = json.loads(_member(tar, "manifest.json"))
            config = _member(tar, image["Config"])
            layers = [gzip.compress(_member(tar, name), 1) for name in image["Layers"]]
        new = _random_layer()  # which no engine has yet
        config = json.loads(config)
        config["rootfs"]["diff_ids"].append(_digest(new))
        config.pop("history", None)
        config = json.dumps(config).encode()
        layers.append(gzip.compress(new, 1))
        self.held = _digest(layers[-1])
        self.manifest = json.dumps({
            "schemaVersion": 2, "mediaType": _MANIFEST,
            "config": self._blob(config, "container.image.v1+json"),
            "layers": [self._blob(layer, "image.rootfs.diff.tar.gzip") for layer in layers],
        }).encode()  # fmt: skip

    def _blob(self, blob: bytes, kind: str) -> dict[str, Any]:
        self.blobs[_digest(blob)] = blob
        return {"mediaType": f"{_DOCKER}{kind}", "size": len(blob), "digest": _digest(blob)}

    @property
    def image(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}/engine:1"


class _Answer(BaseHTTPRequestHandler):
    server: Registry
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        kind, name = self.path.split("/")[-2:]
        if self.path == "/v2/":
            self._send(b"{}", "application/json")
        elif kind == "manifests" and "engine" in self.path:
            self._send(self.server.manifest, _MANIFEST)
        elif kind == "blobs" and (blob := self.server.blobs.get(name)) is not None:
            self.server.fetched += name == self.server.held and self.command == "GET"
            self._send(blob, "application/octet-stream", held=name == self.server.held)
        else:
            self.send_error(404)

    do_HEAD = do_GET

    def _send(self, body: bytes, kind: str, *, held: bool = False) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Docker-Content-Digest", _digest(body))
        self.end_headers()
        if self.command == "HEAD":
            return
        for at in range(0, len(body), _PIECE):
            if held and at > len(body) // 2 and not self.server.goes_on.wait(WITHIN_S):
                return
            try:
                self.wfile.write(body[at : at + _PIECE])
            except OSError:  # it was called off
                self.close_connection = True
                return


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()


def _random_layer() -> bytes:
    """With one file."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        file = tarfile.TarInfo("random")
        file.size = 4 << 20
        tar.addfile(file, io.BytesIO(os.urandom(file.size)))
    return layer.getvalue()


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


@contextmanager
def registry_of(engine: ContainerEngine, image: str) -> Iterator[Registry]:
    """It serves `image`, which that engine has."""
    with Registry(engine.saved(image)) as registry:
        thread = threading.Thread(target=registry.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield registry
        finally:
            registry.goes_on.set()
            registry.shutdown()
            thread.join()
