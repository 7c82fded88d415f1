"""Writes what is known of vLLM's flags where its help can't be read:

vllm serve --help=all | python packaging/generate_vllm_flags.py
"""

from __future__ import annotations

import sys
from pathlib import Path

FILE = Path(__file__).parents[1] / "src/llamactl/backends/vllm/flags.py"
HEAD = '''"""vLLM's flags, for where its help can't be read: a line each, with the kind.

Written by `packaging/generate_vllm_flags.py`.
"""

FLAGS = """
'''


def main() -> None:
    text = sys.stdin.read()
    if not FILE.exists():
        FILE.write_text(f'{HEAD}"""\n', encoding="utf-8")
    from llamactl.backends.vllm.options import listed

    lines = [" ".join([option.kind, *option.flags]) for option in listed(text) if option.flags]
    FILE.write_text(HEAD + "\n".join(lines) + '\n"""\n', encoding="utf-8")


if __name__ == "__main__":
    main()
