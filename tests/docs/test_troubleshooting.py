"""docs/troubleshooting.md has an entry for each code that an error or a failure can have."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from llamactl.client.errors import InvalidAnswer, ServerUnreachable
from llamactl.config.fields import fields_of
from llamactl.config.settings import Settings
from llamactl.core.errors import LlamactlError
from llamactl.core.exits import FailureClass

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/troubleshooting.md").read_text()
ENTRY = re.compile(r"^### (\w+)\n\n((?:.+\n)+)", re.MULTILINE)
ENTRIES = dict(ENTRY.findall(PAGE.partition("\n## Codes\n")[2]))


def kinds(of: type[LlamactlError] = LlamactlError) -> Iterator[type[LlamactlError]]:
    """Those with a code of their own, of llamactl's modules only."""
    if "code" in vars(of) and of.__module__.startswith("llamactl."):
        yield of
    for kind in of.__subclasses__():
        yield from kinds(kind)


KINDS: set[type[LlamactlError]] = {*kinds(), InvalidAnswer, ServerUnreachable}


def test_each_code_has_an_entry_and_no_entry_is_of_another() -> None:
    codes = {kind.code for kind in KINDS} | {failure.value for failure in FailureClass}

    assert sorted(codes - ENTRIES.keys()) == []
    assert sorted(ENTRIES.keys() - codes) == []
    assert [*ENTRIES] == sorted(ENTRIES)


def test_an_entry_has_the_status_of_its_errors() -> None:
    for kind in KINDS:
        said = re.match(
            r"(No HTTP status\.)|HTTP ([\d, ]+)(?:\.|, also a failure\.)", ENTRIES[kind.code]
        )
        assert said, kind.code
        statuses = {int(one) for one in said[2].split(", ")} if said[2] else {0}
        assert kind.status in statuses, kind.code


def test_an_entry_says_whether_it_is_a_failure() -> None:
    failures = {failure.value for failure in FailureClass}
    opening = re.compile(r"Failure\. |HTTP [\d, ]+, also a failure\. ")

    assert {code for code, text in ENTRIES.items() if opening.match(text)} == failures


def test_the_settings_that_it_names_exist() -> None:
    known = {field.key for field in fields_of(Settings)}
    sections = {key.partition(".")[0] for key in known if "." in key} - {"backends"}
    named = re.findall(rf"`((?:{'|'.join(sections)})\.[\w.]+)`", PAGE)

    assert len(named) > 20
    assert sorted(set(named) - known) == []


def messages() -> Iterator[str]:
    """All texts of the program, with `…` for what is filled in."""
    for path in sorted((ROOT / "src/llamactl").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (one.value if isinstance(one, ast.Constant) else "…" for one in node.values)
                yield "".join(map(str, parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_the_messages_that_it_lists_are_in_the_program() -> None:
    table = PAGE.partition("\n## Messages\n")[2].partition("\n## Codes\n")[0]
    listed = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    said = "\n".join(messages())

    assert len(listed) > 20
    assert [one for one in listed if one not in said] == []
    assert listed == sorted(listed)
