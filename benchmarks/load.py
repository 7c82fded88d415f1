"""CPU time of processes, and load by wrk."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

BODY = (
    '{"model":"fixed","messages":[{"role":"user","content":"Tell me about the weather in Paris."}],'
    '"max_tokens":100,"temperature":0.7,"stream":false}'
)


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def cpu_us_per_request(url: str, key: str, pid: int, folder: Path, seconds: int) -> float:
    """CPU µs that the process spends on one request, under 32 connections."""
    script = folder / "post.lua"
    script.write_text(
        f"wrk.method='POST'\nwrk.headers['Content-Type']='application/json'\n"
        f"wrk.headers['Authorization']='Bearer {key}'\nwrk.body='{BODY}'\n"
    )
    command = ["wrk", "-t1", "-c32", "-s", str(script), url]
    subprocess.run([*command, "-d1s"], check=True, capture_output=True)
    before = cpu_s(pid)
    done = subprocess.run(
        [*command, f"-d{seconds}s"], check=True, capture_output=True, text=True
    ).stdout
    if "Non-2xx" in done:
        raise RuntimeError(done)
    requests = re.search(r"(\d+) requests in", done)
    assert requests is not None
    return (cpu_s(pid) - before) * 1e6 / int(requests[1])
