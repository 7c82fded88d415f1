"""nginx as a plain proxy before the same engine: what we are measured against."""

from __future__ import annotations

import subprocess
from pathlib import Path

from benchmarks.ports import free_port
from benchmarks.proxy.peer import Peer


class Nginx(Peer):
    """Knows no keys and reads no body."""

    def __init__(self, upstream: int, folder: Path) -> None:
        port = free_port()
        conf = folder / "nginx.conf"
        conf.write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log /dev/null;\n"
            "events { worker_connections 8192; }\n"
            f"http {{ access_log off; keepalive_requests 1000000; client_body_temp_path {folder}/b;"
            f" proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;"
            f" uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; client_max_body_size 0;\n"
            f"upstream up {{ server 127.0.0.1:{upstream}; keepalive 64; }}\n"
            f"server {{ listen 127.0.0.1:{port} backlog=2048; location / {{"
            " proxy_buffering off; proxy_request_buffering off; proxy_pass http://up;"
            ' proxy_http_version 1.1; proxy_set_header Connection ""; } } }\n'
        )
        super().__init__(subprocess.Popen(["nginx", "-c", str(conf)]), port)
