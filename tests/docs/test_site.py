"""The site's navigation names each page of docs/, and links between pages lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
FENCED = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


class Loader(yaml.SafeLoader):
    """For the settings of the site, which name functions of Python."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/name:", lambda *_: None)
SITE = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)


def named(nav: Any) -> Iterator[str]:
    match nav:
        case str():
            yield nav
        case dict():
            for inner in nav.values():
                yield from named(inner)
        case list():
            for inner in nav:
                yield from named(inner)


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    titles = HEADING.findall(FENCED.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_navigation_names_each_page_once() -> None:
    assert sorted(named(SITE["nav"])) == [str(page.relative_to(DOCS)) for page in PAGES]


def test_links_lead_to_files_and_headings_that_exist() -> None:
    broken = []
    for page in (ROOT / "README.md", *PAGES):
        for path, anchor in LINK.findall(FENCED.sub("", page.read_text())):
            target = (page.parent / path).resolve() if path else page
            there = target.exists()
            if not there or (anchor and anchor not in anchors(target)):
                broken.append((page.name, path, anchor))

    assert broken == []


def test_lists_within_lists_are_indented_by_four() -> None:
    """With less, they are lists within lists for GitHub only."""
    shallow = re.compile(r"^ {1,3}[-*] .*", re.MULTILINE)
    found = {p.name: shallow.findall(FENCED.sub("", p.read_text())) for p in PAGES}

    assert {name: lines for name, lines in found.items() if lines} == {}
