"""Writes `client/_sync`: the client to be awaited, without what is asynchronous."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

CLIENT = Path(__file__).parents[1] / "src/llamactl/client"
_WORDS = {
    r"The client to be awaited. `_sync` is made of this folder":
    r"The client for plain code. Made of `_async`",
    r"\basync (def|with|for)\b": r"\1",
    r"\bawait ": "",
    r"\baclosing\b": "closing",
    r"\basynccontextmanager\b": "contextmanager",
    r"\basyncio\b": "time",
    r"\b__a(enter|exit)__\b": r"__\1__",
    r"\ba(close|read|iter_lines)\b": r"\1",
    r"\bAsyncGenerator\[(.*), None\]": r"Generator[\1, None, None]",
    r"\b_async\b": "_sync",
    r"\bAsync([A-Z]\w+)\b": r"\1",
}  # fmt: skip


def made() -> dict[Path, str]:
    """The text of each file."""
    return {CLIENT / "_sync" / p.name: _plain(p) for p in sorted((CLIENT / "_async").glob("*.py"))}


def _plain(source: Path) -> str:
    text = source.read_text()
    for pattern, word in _WORDS.items():
        text = re.sub(pattern, word, text)
    for ask in (["check", "--select", "I", "--fix", "-q"], ["format", "-q"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *ask, "--stdin-filename", str(source), "-"],
            input=text, capture_output=True, text=True, check=True,
        )  # fmt: skip
        text = done.stdout
    return text


if __name__ == "__main__":
    for path, text in made().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
