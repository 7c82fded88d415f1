"""Writes what is known of llama-server's flags where its help can't be read:

llama-server --help | python packaging/generate_llama_flags.py
"""

from __future__ import annotations

import sys
from pathlib import Path

from llamactl.policy.definition.engine_help import EngineOption, read_help

FILE = Path(__file__).parents[1] / "src/llamactl/backends/llama_cpp/flags.py"
HEAD = '''"""llama-server's flags, for where its help can't be read: a line each, with the kind.

Written by `packaging/generate_llama_flags.py`.
"""

FLAGS = """
'''


def line_of(option: EngineOption) -> str:
    kind: str = option.kind
    if {"on", "off"} <= {*option.choices}:  # they take these words
        kind += ":" + ",".join(option.choices)
    return " ".join([kind, *(["2"] if option.words == 2 else []), *option.flags])  # noqa: PLR2004


def main() -> None:
    lines = [line_of(option) for option in read_help(sys.stdin.read())]
    FILE.write_text(HEAD + "\n".join(lines) + '\n"""\n', encoding="utf-8")


if __name__ == "__main__":
    main()
