"""Values of a pasted command line, held against what its options take."""

from __future__ import annotations

import pytest

from llamactl.backends import LLAMA_CPP
from llamactl.core.errors import InvalidRequest
from llamactl.policy.definition.command_line import Parsed
from llamactl.policy.definition.engine_help import UNREAD, Vocabulary, read_help
from support.engines import BOTH, LLAMA_SERVER, use


def known(engine: str = LLAMA_SERVER) -> Vocabulary:
    with use(engine) as one:
        return Vocabulary(read_help(one.help()))


def said(parsed: Parsed) -> dict[str, str]:
    rows = (row.partition(": ") for row in parsed.not_understood)
    return {what: why for what, _, why in rows}


def test_a_value_of_another_type_is_left_out_with_what_the_option_takes() -> None:
    line = "llama-server -m /m/a.gguf -c 4096k --temp abc -ngl many --pooling foo --jinja=foo"

    found = LLAMA_CPP.parse_command(line, known())

    assert found.options == {"model": "/m/a.gguf"}
    assert said(found) == {
        "-c 4096k": "it takes a number",
        "--temp abc": "it takes a number",
        "-ngl many": "it takes a number, auto or all",
        "--pooling foo": "choose one of none, mean, cls, last, rank",
        "--jinja foo": "it takes on or off",
    }


def test_nothing_is_refused_where_the_help_cannot_be_read() -> None:
    found = LLAMA_CPP.parse_command("llama-server -m /m/a.gguf -c 4096k --pooling foo", UNREAD)

    assert found.options == {"model": "/m/a.gguf", "ctx_size": "4096k", "pooling": "foo"}
    assert not found.not_understood


def test_a_program_of_its_own_has_its_own_choices() -> None:
    line = "/opt/fork/llama-server -m /m/a.gguf -ctk q6_0 -c 4k"

    found = LLAMA_CPP.parse_command(line, known())

    assert found.options == {"model": "/m/a.gguf", "cache_type_k": "q6_0"}
    assert said(found) == {"-c 4k": "it takes a number"}


@pytest.mark.parametrize("engine", BOTH)
def test_what_an_option_offers_or_has_by_default_is_taken(engine: str) -> None:
    vocabulary = known(engine)
    for option in {one.name: one for one in vocabulary.values()}.values():
        default = option.default if option.default[:2] != "--" else ""
        for value in {*option.choices, default} - {""} if option.name != "port" else ():
            if option.kind not in ("integer", "number", "choice") or " " in value:
                continue
            found = LLAMA_CPP.parse_command(f"llama-server {option.flags[-1]}={value}", vocabulary)
            assert not found.not_understood, option


@pytest.mark.parametrize("line", ["llama-server --version", "llama-server -h", "llama-server -cl"])
def test_a_question_to_the_engine_is_no_option(line: str) -> None:
    for vocabulary in (known(), UNREAD):
        found = LLAMA_CPP.parse_command(line, vocabulary)

        assert found.options == {}
        assert said(found)[line.split()[1]] == "the engine answers it and ends; run it by hand"


def test_a_program_for_windows_is_called_that() -> None:
    found = LLAMA_CPP.parse_command(r'"C:\Program Files\l\llama-server.exe" -m C:\a.gguf', known())

    assert found.options == {"model": r"C:\a.gguf"}
    assert found.not_understood == [
        r"C:\Program Files\l\llama-server.exe: a program for Windows; the configured engine is used"
    ]


@pytest.mark.parametrize(
    "wrapper",
    [
        "perf record -F 99 -g", "firejail --net none", "gdb -ex run -ex bt --args",
        "bwrap --ro-bind / / --dev /dev", "chroot --userspec u:g /x", "systemd-run --unheard-of 3",
        "nix develop", "nix shell nixpkgs#llama-cpp nixpkgs#jq", "distrobox enter -n box",
    ],
)  # fmt: skip
def test_all_words_of_a_wrapper_are_its_own(wrapper: str) -> None:
    begins = {"nix": " -c", "distrobox": " -e"}.get(wrapper.split(maxsplit=1)[0], "")

    found = LLAMA_CPP.parse_command(f"{wrapper}{begins} llama-server -m /m/a.gguf", known())

    assert found.options == {"model": "/m/a.gguf"}
    assert [*said(found)] == [wrapper]


@pytest.mark.parametrize("line", ["ollama run", "pip install", "sudo pkill -f", "brew install"])
def test_a_program_that_only_names_the_engine_is_said_to_run_itself(line: str) -> None:
    name = line.removeprefix("sudo ").split()[0]

    with pytest.raises(InvalidRequest, match=f"it runs {name}, not llama-server"):
        LLAMA_CPP.parse_command(f"{line} llama-server", known())


def test_a_variable_whose_name_is_not_known_is_said() -> None:
    found = LLAMA_CPP.parse_command("llama-server && $env:A= llama-server $env:A=", UNREAD)

    assert found.environment == {"A": "llama-server"}
    assert said(found) == {"$env:A=": "llamactl does not know its value"}
