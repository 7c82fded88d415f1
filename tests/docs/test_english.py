"""Words that plain English has better ones for: none in any text, for users or developers."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORDS = re.compile(
    r"\b(whoever|told|tells|alone|goes on|go on|went on|lies|stands|stood|of late|anew"
    r"|heeds?|mends?|mended|in vain|so changed|believed|any more|where need be"
    r"|whole(?! number)"
    r"|(?<!there )is no(?! longer)|(?<!there )are no(?! longer))\b",
    re.IGNORECASE,
)
DESCRIPTIONS = ("api", "cli", "schemas")  # docstrings there are API descriptions and CLI help
PROTOCOL = ("X-Accel-Buffering: no",)
JAVASCRIPT = re.compile(
    r'"(?P<text>(?:\\.|[^"\\\n])*)"|`(?P<template>(?:\\.|[^`\\])*)`|//[^\n]*|/\*.*?\*/', re.DOTALL
)
ELEMENT_TEXT = re.compile(r"[>}]([^<>{}=;()]+)(?=[<{])")


def read_by_users() -> Iterator[tuple[str, str]]:
    """Where a text is, and the text: docs, page, help, descriptions, messages."""
    for path in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *sorted((ROOT / "docs").glob("*.md")),
    ):
        yield str(path.relative_to(ROOT)), path.read_text()
    for path in modules():
        for line, text in strings(path):
            yield f"{path.relative_to(ROOT)}:{line}", text
    for path in sorted((ROOT / "webui/src").rglob("*.ts*")):
        if not path.name.endswith((".d.ts", ".test.ts")):
            yield str(path.relative_to(ROOT)), "\n".join(page_texts(path.read_text()))


def read_by_developers() -> Iterator[tuple[str, str]]:
    yield "CHANGELOG.md", (ROOT / "CHANGELOG.md").read_text()
    for path in sorted((ROOT / "docs/decisions").glob("*.md")):
        yield str(path.relative_to(ROOT)), path.read_text()
    for path in modules():
        yield str(path.relative_to(ROOT)), "\n".join(remarks(path))


def modules() -> list[Path]:
    return sorted((ROOT / "src/llamactl").rglob("*.py"))


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """Messages and descriptions, with their lines."""
    described = path.relative_to(ROOT / "src/llamactl").parts[0] in DESCRIPTIONS
    for line, text, is_docstring in literals(path):
        if described or not is_docstring:
            yield line, text


def remarks(path: Path) -> Iterator[str]:
    """Docstrings and comments."""
    yield from (text for _, text, is_docstring in literals(path) if is_docstring)
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


@cache
def literals(path: Path) -> list[tuple[int, str, bool]]:
    """All strings: the line, the text, and whether it is a docstring."""
    docs: set[int] = set()
    found = []
    for node in ast.walk(ast.parse(path.read_text())):  # a docstring's statement comes before it
        if isinstance(node, ast.Expr):
            docs.add(id(node.value))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append((node.lineno, node.value, id(node) in docs))
    return found


def page_texts(source: str) -> Iterator[str]:
    """String literals, and text between elements; no comments."""
    for found in JAVASCRIPT.finditer(source):
        yield found["text"] or found["template"] or ""
    for found in ELEMENT_TEXT.finditer(JAVASCRIPT.sub('""', source)):
        yield found[1]


def words(text: str) -> list[str]:
    for known in PROTOCOL:
        text = text.replace(known, "")
    return [found.group() for found in WORDS.finditer(text)]


def test_users_read_plain_english() -> None:
    found = {place: bad for place, text in read_by_users() if (bad := words(text))}

    assert found == {}


def test_developers_read_plain_english() -> None:
    found = {place: bad for place, text in read_by_developers() if (bad := words(text))}

    assert found == {}


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        ("<Text>\n  Whoever can't wait\n</Text>", ["Whoever can't wait"]),
        ('<Alert title="It stands alone" />', ["It stands alone"]),
        ("tell(`${name} goes on`);", ["${name} goes on"]),
        ("<p>\n {count} are told here, <b>anew</b>.</p>", ["are told here,", "anew", "."]),
        ("told(now); // whoever asks\n/* lies */ const alone = 1;", []),
    ],
)
def test_the_texts_of_a_page_are_found(source: str, texts: list[str]) -> None:
    assert [text.strip() for text in page_texts(source) if text.strip()] == texts
