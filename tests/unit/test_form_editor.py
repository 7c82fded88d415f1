"""The model of a form gets the name that its engine knows, wherever the form is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamactl.policy.body.filters import Splicer
from llamactl.proxy.routing.model import FormEditor, query_naming

EDGE = b"b-1"


def form(*parts: tuple[bytes, bytes]) -> bytes:
    body = b"".join(
        b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (EDGE, name, value)
        for name, value in parts
    )
    return body + b"--%b--\r\n" % EDGE


def edited(pieces: list[bytes], name: str) -> bytes:
    editor = FormEditor(EDGE, name)
    for piece in pieces:
        editor.feed(piece)
    splicer = Splicer(editor.edits())
    return b"".join(map(splicer.feed, pieces))


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1, max_size=20)


@given(st.binary(max_size=80).filter(lambda data: EDGE not in data), NAMES, NAMES,
       st.lists(st.integers(0, 400), max_size=8))  # fmt: skip
def test_nothing_else_of_it_changes(file: bytes, asked: str, own: str, cuts: list[int]) -> None:
    def whole(model: str) -> bytes:
        model_part = (b"model", model.encode())
        return form((b"file", file), model_part, (b"models", b"r/x"), model_part)

    body, at = whole(asked), sorted({0, *cuts})
    pieces = [body[a:b] for a, b in zip(at, [*at[1:], len(body)], strict=True)]

    assert edited(pieces, own) == whole(own)


@pytest.mark.parametrize(
    ("query", "named"),
    [(b"model=r%2Fa", b"model=a%20b"), (b"x=1&model=r/a&y=%20", b"x=1&model=a%20b&y=%20"),
     (b"mod%65l=r/a", b"model=a%20b"), (b"model=r/a&model=r/c", b"model=a%20b&model=a%20b"),
     (b"models=x&model", b"models=x&model=a%20b")],
)  # fmt: skip
def test_that_of_a_query_does_too(query: bytes, named: bytes) -> None:
    assert query_naming(query, "a b") == named
