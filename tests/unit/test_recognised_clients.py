"""Which clients are known to read OpenAI's errors alone."""

from __future__ import annotations

from llamactl.proxy.http.error_formats import is_recognised


def test_a_program_may_name_itself_before_its_library() -> None:
    assert is_recognised({b"user-agent": b"my-app/1.0 openai/2.1"})
    assert not is_recognised({b"user-agent": b"curl/8.5"})


def test_a_header_that_goes_on_and_on_is_not_read_to_its_end() -> None:
    assert not is_recognised({b"user-agent": b"a " * 500 + b"openai/2.1"})
