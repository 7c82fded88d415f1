"""What a real SGLang 0.5.23 said and answered, as `sglang_recorder.py` wrote it down.

It ran on a CPU (SGLANG_USE_CPU_ENGINE=1, `--device cpu --attention-backend torch_native`), with an
empty package in place of its kernels for CUDA, which nothing called. No answer was written by hand.
"""

from __future__ import annotations

import gzip
import re
from pathlib import Path

RECORDED = Path(__file__).parents[1] / "recorded/sglang"


def flags() -> set[str]:
    """Of `sglang.launch_server`, by its help."""
    text = gzip.decompress((RECORDED / "help.txt.gz").read_bytes()).decode()
    return set(re.findall(r"^ +(?:-\w, )?(--[a-z0-9-]+)", text, re.MULTILINE))


def answer(name: str) -> bytes:
    """As it came, with its head."""
    if name == "metrics":
        return gzip.decompress((RECORDED / "metrics.http.gz").read_bytes())
    return (RECORDED / f"{name}.http").read_bytes()


def body(name: str) -> str:
    return answer(name).partition(b"\r\n\r\n")[2].decode()


def log(name: str) -> str:
    return (RECORDED / f"{name}.log").read_text()
