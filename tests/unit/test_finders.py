"""What bounds the reading of a body whose model is not known yet."""

from __future__ import annotations

import pytest

from llamactl.core.errors import MalformedBody
from llamactl.policy.body import ModelScanner
from llamactl.proxy.model import MultipartModel

EDGE = b"--e\r\nContent-Disposition: form-data; name="


def test_a_part_s_headers_are_bounded() -> None:
    finder = MultipartModel(b"e")
    finder.feed(b"--e\r\nX-Long: ")

    with pytest.raises(MalformedBody, match="header size"):
        for _ in range(100):
            finder.feed(b"x" * 1000)


def test_the_parts_before_the_model_are_bounded() -> None:
    finder = MultipartModel(b"e")

    with pytest.raises(MalformedBody, match="parts"):
        for _ in range(1001):
            finder.feed(EDGE + b'"a"\r\n\r\nb\r\n')


def test_a_model_cut_anywhere_is_found() -> None:
    body = EDGE + b'"a"\r\n\r\nb\r\n' + EDGE + b'"model"\r\n\r\nx\r\n--e--\r\n'
    for cut in range(len(body)):
        finder = MultipartModel(b"e")
        finder.feed(body[:cut])
        assert finder.feed(body[cut:]) == "x"


def test_deep_strings_cost_no_step_each() -> None:
    """Seen by the steps that the scanner takes, not by the clock."""
    body = b'{"a":[' + b'"x\\"",' * 10_000 + b'1],"model":"m"}'
    steps = 0

    class Counting(ModelScanner):
        def _structure(self, data: bytes, at: int) -> int:
            nonlocal steps
            steps += 1
            return super()._structure(data, at)

    scanner = Counting()
    scanner.feed(body)

    assert scanner.end() == "m"
    assert steps < 20
