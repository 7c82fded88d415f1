"""What a real vLLM 0.32 said and answered, as `vllm_recorder.py` wrote it down."""

from __future__ import annotations

import gzip
from pathlib import Path

RECORDED = Path(__file__).parents[1] / "recorded/vllm"


def help_text() -> str:
    """Of `vllm serve --help=all`."""
    return gzip.decompress((RECORDED / "help.txt.gz").read_bytes()).decode()


def answer(name: str) -> bytes:
    """As it came, with its head."""
    return (RECORDED / f"{name}.http").read_bytes()


def body(name: str) -> str:
    return answer(name).partition(b"\r\n\r\n")[2].decode()


def log(name: str) -> list[str]:
    """Of a vLLM that ended."""
    return (RECORDED / f"{name}.log").read_text().splitlines()
