"""Helps that nobody thought of: no traceback, and each option once."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from llamactl.backends import LLAMA_CPP
from llamactl.backends.llama_cpp.options import render
from llamactl.core.errors import InvalidOption, InvalidRequest
from llamactl.policy.definition.command_line import leave_unknown_out
from llamactl.policy.definition.engine_help import Vocabulary, read_help

PIECES = st.sampled_from(
    ["-", "--", "-a", "-nkvo", "--no-", "--ctx-size", "--no-mmap", "--model", "--port", "=", ",",
     ", ", " / ", "/", "|", "..", "...", "<", ">", "{", "}", "[", "]", "(", ")", "N", "FNAME",
     "START END", "0", "100", "-1", "0.95", "'on'", "on|off", "<0...100>", "{a,b}",
     "<dev1,dev2,..>", "(default: ", "default: ", "(valid range 0.0 to 1.0)",
     "allowed values: a, b", "- a: b", "text", "\t", "  ", " " * 40, "\n", "\n\n", "\r\n", "---",
     "-----", "options:", "usage:", "é", "\u2028", "\0", "\x1b"]
)  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=3), max_size=80).map("".join)
WORDS = st.lists(
    st.sampled_from(["llama-server", "-c", "--ctx-size", "1", "-nkvo", "--no-x", "--lora", "a=b",
                     "''",
                     "-m", "on", "--x=", "serve", "docker", "run", "-e", "\\\n", "#", "'", '"'])
    | st.text(max_size=3),
    max_size=20,
).map(" ".join)  # fmt: skip


@given(text=TEXTS)
def test_any_help_is_read(text: str) -> None:
    options = read_help(text)

    assert len({one.name for one in options}) == len(options)
    for one in options:
        assert one.flags and {*one.off} < {*one.flags} | {""}
        assert one.minimum is None or one.kind in ("integer", "number")


@given(text=TEXTS, line=WORDS)
def test_any_command_line_is_read_by_any_help(text: str, line: str) -> None:
    known = Vocabulary(read_help(text))
    try:
        parsed = LLAMA_CPP.parse_command(line, known)
    except InvalidRequest:
        return

    leave_unknown_out(parsed, known)
    try:
        render(parsed.options, known)
    except InvalidOption as exc:
        assert exc.message
