"""How long a start takes: until clients are served, and until the management API is there.

    python -m benchmarks.start [PYTHON ...]

Each PYTHON is the interpreter of an installation to compare with; they take turns. On a shared
machine compare the CPU time. PYTHONDONTWRITEBYTECODE makes each start compile our modules.
"""

from __future__ import annotations

import http.client
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

TIMES = 9
_PAUSE_S = 0.02  # asking takes time from what is measured


@dataclass(frozen=True, slots=True)
class Start:
    """Milliseconds."""

    listening: float
    listening_cpu: float
    managing: float
    managing_cpu: float
    longest_wait: float  # for the model list, which needs no management API, between the two


def start(python: str, data: Path) -> Start:
    command = [python, "-m", "llamactl", "serve", "--data-dir", str(data), "--port", "0"]
    env = {k: v for k, v in os.environ.items() if not k.startswith("LLAMACTL_")}
    began = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=data, env=env
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        listening, listening_cpu = _since(began), _cpu(process.pid)
        port = int(line.rpartition(":")[2])
        key = (data / "management_key").read_text().strip()
        health = http.client.HTTPConnection("127.0.0.1", port)
        health.request("GET", "/health")
        assert health.sock is not None
        health.sock.setblocking(False)
        longest = 0.0
        while not _has_come(health):
            longest = max(longest, _model_list(port, key))
            time.sleep(_PAUSE_S)
        managing, managing_cpu = _since(began), _cpu(process.pid)
        process.send_signal(signal.SIGTERM)
    return Start(listening, listening_cpu, managing, managing_cpu, longest)


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1000


def _cpu(pid: int) -> float:
    """User and system time of all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def _has_come(health: http.client.HTTPConnection) -> bool:
    assert health.sock is not None
    try:
        return bool(health.sock.recv(1))
    except BlockingIOError:
        return False


def _model_list(port: int, key: str) -> float:
    """Milliseconds until it is answered."""
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/v1/models", headers={"Authorization": f"Bearer {key}"})
    assert connection.getresponse().status == http.client.OK
    connection.close()
    return _since(began)


def report(name: str, starts: list[Start]) -> None:
    def typical(part: str) -> str:
        values = [getattr(one, part) for one in starts]
        return f"{statistics.median(values):5.0f} (least {min(values):.0f})"

    longest = statistics.median(one.longest_wait for one in starts)
    print(f"start of {name}, median ms of {len(starts)}")
    print(f"  clients are served       {typical('listening')}, CPU {typical('listening_cpu')}")
    print(f"  management API is there  {typical('managing')}, CPU {typical('managing_cpu')}")
    print(f"  longest model list between the two {longest:.0f} ms", flush=True)


def compare(pythons: list[str], times: int = TIMES) -> None:
    with tempfile.TemporaryDirectory(prefix="llamactl-bench-") as folder:
        starts: dict[str, list[Start]] = {python: [] for python in pythons}
        for number in range(times + 1):  # the first makes the store, and bytecode
            for place, (python, found) in enumerate(starts.items()):
                data = Path(folder, str(place))
                data.mkdir(exist_ok=True)
                one = start(python, data)
                if number:
                    found.append(one)
    for python, found in starts.items():
        report(python, found)


if __name__ == "__main__":
    compare([sys.executable, *sys.argv[1:]])
