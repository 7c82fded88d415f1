"""nginx as a plain proxy before the same engine: what we are measured against."""

from __future__ import annotations

import subprocess
from pathlib import Path

from benchmarks.ports import free_port, until_listening


class Nginx:
    """One process, so that its CPU time is all in one place. Knows no keys and reads no body."""

    def __init__(self, upstream: int, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        conf = folder / "nginx.conf"
        conf.write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log /dev/null;\n"
            "events { worker_connections 8192; }\n"
            f"http {{ access_log off; keepalive_requests 1000000; client_body_temp_path {folder}/b;"
            f" proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;"
            f" uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; client_max_body_size 0;\n"
            f"upstream up {{ server 127.0.0.1:{upstream}; keepalive 64; }}\n"
            f"server {{ listen 127.0.0.1:{self.port} backlog=2048; location / {{"
            " proxy_buffering off; proxy_request_buffering off; proxy_pass http://up;"
            ' proxy_http_version 1.1; proxy_set_header Connection ""; } } }\n'
        )
        self._process = subprocess.Popen(["nginx", "-c", str(conf)])
        self.pid = self._process.pid

    def __enter__(self) -> Nginx:
        until_listening(self.port)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
