"""CPU time and memory of a process, and load on it by wrk."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

BODY = (
    '{"model":"%s","messages":[{"role":"user","content":"Tell me about the weather in Paris."}],'
    '"max_tokens":100,"temperature":0.7,"stream":false}'
)
_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one request: CPU time of the server's process, latency as the client saw it."""

    cpu_us: float
    p50_ms: float
    p99_ms: float
    per_second: float


def cpu_s(pid: int) -> float:
    """CPU seconds of all threads that a process has now; nanoseconds are counted."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def rss_mb(pid: int) -> float:
    return _status_mb(pid, "VmRSS")


def reset_peak(pid: int) -> None:
    """Start `peak_mb` anew (man 5 proc, clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_mb(pid: int) -> float:
    return _status_mb(pid, "VmHWM")


def _status_mb(pid: int, field: str) -> float:
    found = re.search(rf"{field}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def load(url: str, key: str, pid: int, folder: Path, seconds: int, model: str = "fixed") -> Cost:
    """Small chat requests over 32 connections, as fast as they are answered."""
    script = folder / "post.lua"
    script.write_text(
        f"wrk.method='POST'\nwrk.headers['Content-Type']='application/json'\n"
        f"wrk.headers['Authorization']='Bearer {key}'\nwrk.body='{BODY % model}'\n"
    )
    command = ["wrk", "-t1", "-c32", "--latency", "-s", str(script), url]
    subprocess.run([*command, "-d1s"], check=True, capture_output=True)
    before = cpu_s(pid)
    said = subprocess.run(
        [*command, f"-d{seconds}s"], check=True, capture_output=True, text=True
    ).stdout
    spent = cpu_s(pid) - before
    if "Non-2xx" in said:
        raise RuntimeError(said)
    return Cost(
        spent * 1e6 / float(_said(r"(\d+) requests in", said)[1]),
        _ms(_said(r"50%\s+([\d.]+)(us|ms|s)", said)),
        _ms(_said(r"99%\s+([\d.]+)(us|ms|s)", said)),
        float(_said(r"Requests/sec:\s+([\d.]+)", said)[1]),
    )


def _ms(found: re.Match[str]) -> float:
    return float(found[1]) * _MS[found[2]]


def _said(pattern: str, text: str) -> re.Match[str]:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"wrk did not say {pattern}: {text}")
    return found
