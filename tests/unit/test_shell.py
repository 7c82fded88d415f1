"""What a shell makes of a text's words, and what only a running one knows."""

from __future__ import annotations

import pytest

from llamactl.core.errors import InvalidRequest
from llamactl.policy.pasted.shell import Shell, is_open, plain, split


def words(text: str, **variables: str) -> list[str]:
    shell = Shell("/home/u", dict(variables))
    return [token.text for token in shell.tokens(text) if token.kind == "word"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${M:-$HOME/a.gguf}", "/home/u/a.gguf"),
        ("${M:-${HOME}/m/a.gguf}", "/home/u/m/a.gguf"),
        ("${M:-~/a.gguf}", "/home/u/a.gguf"),
        ("A=${M:-~/a.gguf}", "A=/home/u/a.gguf"),
        ("${M:-/m/a}.gguf", "/m/a.gguf"),
        ('${M:-"/m/a.gguf"}', "/m/a.gguf"),
        ("${M:-'/m/a.gguf'}", "/m/a.gguf"),
        ("\"${M:-it's}\"", "it's"),
        ('"${M:-"a b"}"', "a b"),
        ("${EMPTY:-4096}", "4096"),
        ("${EMPTY-4096}", ""),
        ("${EMPTY:+4096}", ""),
        ("${EMPTY+4096}", "4096"),
        ("${SET:-4096}", "1"),
        ("${SET:+4096}", "4096"),
        ("${SET:?is needed}", "1"),
        ("$((32*1024))", "32768"),
        ("$(( (1 + SET) * $SET - ${SET} ))", "1"),
        ("$[7/2]", "3"),
        ("${M:-$((2*4))}", "8"),
        (r"$'a\tb\x41\'\n'", "a\tbA'\n"),
        ('$"text"', "text"),
        ("${M:-'a  b'}", "a  b"),
        ("a$", "a$"),
        ("$env:SET", "1"),
        ("${env:SET}", "1"),
        ("${1:-4096}", "4096"),
    ],
)  # fmt: skip
def test_an_expansion_is_what_the_shell_would_make_of_it(text: str, value: str) -> None:
    assert words(text, EMPTY="", SET="1") == [value]


@pytest.mark.parametrize(
    "text",
    [
        "$(nproc)", "$(dirname $(realpath x))/a", '"$(dirname "$(readlink -f "$0")")"/a', "`a b`",
        "$((M * 2))", "$((1 << 4))", "$((2**70))", "$((1/0))", "$((010))", "$((1,2))", "$[M]",
        "${M}", "${M:?is needed}", "${EMPTY:?is needed}", "${M%.gguf}", "${M/a/b}",
        "${#M}", "${!M}", "${M[0]}", "${M:0:3}", "${M^^}", "~other/a", "$1", "${1}", "$@", "$?",
    ],
)  # fmt: skip
def test_what_only_a_running_shell_knows_is_one_open_word(text: str) -> None:
    (word,) = words(text, EMPTY="")

    assert is_open(word)
    assert plain(word) == text.replace('"$(d', "$(d").replace(')"/a', ")/a")


@pytest.mark.parametrize("text", ["$(a", "${M:-a", "$((1+", "$[1", "${M:-'}"])
def test_a_bracket_without_its_end_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="not closed; check its"):
        words(f"llama-server -m {text}")


def test_a_default_without_quotes_is_split_into_words() -> None:
    assert words("${ARGS:--c 1 'a b'} -n 2") == ["-c", "1", "a b", "-n", "2"]


def test_an_open_default_is_open() -> None:
    (word,) = words("${M:-$(nproc)}")
    assert is_open(word)


def test_text_that_is_added_to_a_variable_is_there() -> None:
    assert words('A+=" -c 1"', A="-m a") == ["A=-m a -c 1"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a # b\nc", ["a", "c"]),
        ("a #1 c", ["a", "#1", "c"]),
        ("a # b \\\nc", ["a", "c"]),
        ("a # b c", ["a", "#", "b", "c"]),
        ("a#b '# c'", ["a#b", "# c"]),
    ],
)
def test_where_no_shell_reads_the_text_only_a_lone_hash_in_lines_begins_a_comment(
    text: str, wanted: list[str]
) -> None:
    assert split(text, Shell("/home/u", {})) == wanted


def test_a_comment_ends_where_its_line_is_joined_with_the_next_one() -> None:
    assert words("a # b \\\n -c 1 # d \\\n#e\nf") == ["a", "-c", "1", "f"]
