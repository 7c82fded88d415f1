"""Who gets a page, and who gets data, of a path that has both."""

from __future__ import annotations

import pytest

from llamactl.policy.access.accept import prefers_html

FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
CHROME = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;"
    "q=0.8,application/signed-exchange;v=b3;q=0.7"
)


@pytest.mark.parametrize(
    "accept",
    [FIREFOX, CHROME, "text/html", "TEXT/HTML", "text/html;charset=utf-8", "text/*",
     "text/html;q=0.5, */*;q=0.1", "application/json;q=0.5, text/html", "*/*;q=0.5,text/html;q=0.6",
     "application/json;q=0, */*", "text/html , application/json ; q=0.9"],
)  # fmt: skip
def test_a_page_is_for_those_who_prefer_it(accept: str) -> None:
    assert prefers_html(accept.encode())


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "application/json", "application/json, text/plain, */*",
     "text/html, application/json", "text/html;q=0.5, application/json", "text/html;q=0",
     "text/html;q=0, */*", "text/plain",
     "*/*, text/html;q=0.9", "application/*, text/html;q=0.9", "text/html;q=oops", "text/html;q=7",
     "text/html;q=nan", "html", ",,;;", "image/*", "application/xhtml+xml"],
)  # fmt: skip
def test_everybody_else_gets_the_data(accept: str) -> None:
    assert not prefers_html(accept.encode())


def test_a_header_that_goes_on_and_on_is_not_read_to_its_end() -> None:
    """It needs no key, and would be kept."""
    assert not prefers_html(b"image/png," * 100 + b"text/html")
    assert prefers_html(b"text/html," + b"image/png," * 1000)
