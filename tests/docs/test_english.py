"""Words that betray translated German: no text that people read gets more of them.

`english.json` says how many each file still has. Where one has fewer by now, write that down:
`python tests/docs/test_english.py`.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
COUNTS = Path(__file__).with_name("english.json")
WORDS = re.compile(
    r"\b(whoever|told|tells|alone|goes on|go on|went on|lies|stands|stood|of late|anew"
    r"|(?<!there )is no(?! longer)|(?<!there )are no(?! longer))\b",
    re.IGNORECASE,
)
TEXTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md", "docs/decisions/*.md")
READ_AS_HELP = ("api", "cli")  # where docstrings are descriptions that people read


def counts() -> dict[str, int]:
    """By file, of those that have any."""
    found = {str(path.relative_to(ROOT)): len(WORDS.findall(text)) for path, text in texts()}
    return {path: count for path, count in sorted(found.items()) if count}


def texts() -> Iterator[tuple[Path, str]]:
    for pattern in TEXTS:
        for path in ROOT.glob(pattern):
            yield path, path.read_text()
    for path in (ROOT / "src/llamactl").rglob("*.py"):
        yield path, "\n".join(strings(path))


def strings(path: Path) -> Iterator[str]:
    """Messages, and descriptions; not what only those read who read the code."""
    tree = ast.parse(path.read_text())
    docstrings = set()
    if path.relative_to(ROOT / "src/llamactl").parts[0] not in READ_AS_HELP:
        docstrings = {
            id(node.value) for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }  # fmt: skip
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or id(node) in docstrings:
            continue
        if isinstance(node.value, str):
            yield node.value


def test_no_text_gets_more_words_of_translated_german() -> None:
    allowed, found = json.loads(COUNTS.read_text()), counts()

    assert {path: n for path, n in found.items() if n > allowed.get(path, 0)} == {}


def test_what_got_better_is_written_down() -> None:
    assert json.loads(COUNTS.read_text()) == counts()


if __name__ == "__main__":
    COUNTS.write_text(json.dumps(counts(), indent=1) + "\n")
