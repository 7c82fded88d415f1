"""What a real SGLang 0.5.23 said and answered, as `sglang_recorder.py` wrote it down."""

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
