"""What bounds the reading of a body whose model is not known yet."""

from __future__ import annotations

import pytest

from llamactl.core.errors import MalformedBody
from llamactl.proxy.routing.model import MultipartModel

EDGE = b"--e\r\nContent-Disposition: form-data; name="


def test_a_part_s_headers_are_bounded() -> None:
    extractor = MultipartModel(b"e")
    extractor.feed(b"--e\r\nX-Long: ")

    with pytest.raises(MalformedBody, match="header size"):
        for _ in range(100):
            extractor.feed(b"x" * 1000)


def test_the_parts_before_the_model_are_bounded() -> None:
    extractor = MultipartModel(b"e")

    with pytest.raises(MalformedBody, match="parts"):
        for _ in range(1001):
            extractor.feed(EDGE + b'"a"\r\n\r\nb\r\n')


def test_a_model_cut_anywhere_is_found() -> None:
    body = EDGE + b'"a"\r\n\r\nb\r\n' + EDGE + b'"model"\r\n\r\nx\r\n--e--\r\n'
    for cut in range(len(body)):
        extractor = MultipartModel(b"e")
        extractor.feed(body[:cut])
        assert extractor.feed(body[cut:]) == "x"
