"""Options by the engine's own help: their names, what turns them off, what the engine lacks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from llamactl.backends import LLAMA_CPP, read_definition
from llamactl.backends.llama_cpp.options import render, with_former
from llamactl.core.errors import InvalidOption, UnknownOption
from llamactl.core.instance import InstanceOptions, OptionValue
from llamactl.policy.definition.command_line import Parsed, leave_unknown_out
from llamactl.policy.definition.engine_help import UNREAD, Vocabulary, read_help
from llamactl.policy.definition.near import nearest
from llamactl.policy.definition.reading import merge
from support.engines import BOTH, LLAMA_SERVER, use

OTHER = """\
-m,    --model FNAME                    model path to load
--port PORT                             port to listen (default: 8080)
-zz,   --zigzag, -nzz, --no-zigzag      go this way and that (default: enabled)
--plain                                 no turns
--no-frills                             without frills
--slope N                               how steep (default: 0.95, 1.0 = disabled)
--poll <0...100>                        polling level (0 - no polling, default: 50)
--mask M                                mask: arbitrarily long hex (default: "")
--turns START END                       from here to there
--dev <dev1,dev2,..>                    comma-separated list of devices
--old N                                 the argument has been removed. use --slope
--last N                                the last one (default: 3)

further flags: --host, --api-key
  The key is read from a variable.
"""


@pytest.fixture(scope="module", params=BOTH)
def known(request: pytest.FixtureRequest) -> Iterator[Vocabulary]:
    with use(request.param) as engine:
        yield Vocabulary(LLAMA_CPP.read_help(engine.help()))


@pytest.fixture
def other() -> Vocabulary:
    return Vocabulary(read_help(OTHER))


def test_the_last_option_does_not_take_the_footer_for_its_help(known: Vocabulary) -> None:
    assert [one.name for one in known.values() if "further flags" in one.help] == []
    found = {one.name: one for one in read_help(OTHER)}
    assert found["last"].help == "the last one (default: 3)"
    assert "old" not in found


def test_types_ranges_and_lists_are_read_from_a_help(other: Vocabulary) -> None:
    kinds = {one.name: (one.kind, one.default) for one in other.values()}
    assert kinds["slope"] == ("number", "0.95")
    assert kinds["poll"] == ("integer", "50")
    assert kinds["mask"] == ("text", "")
    assert kinds["dev"] == ("list", "")
    poll, turns = other["--poll"], other["--turns"]
    assert (poll.minimum, poll.maximum, turns.words) == (0, 100, 2)


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("-nkvo -nocb -no-kvu -nr", {"kv_offload": False, "cont_batching": False,
                                     "kv_unified": False, "repack": False}),
        ("-no-kvu -kvu --no-host", {"kv_unified": True, "no_host": True}),
        ("--no-mmap --mmap", {"mmap": True}),
        ("-c 4096 -c 8192", {"ctx_size": 8192}),
        ("--chat-template ''", {"chat_template": ""}),
        ("--lora a --lora b", {"lora": ["a", "b"]}),
        ("-ngl auto --temp .5", {"gpu_layers": "auto", "temp": 0.5}),
    ],
)  # fmt: skip
def test_a_line_means_what_the_engine_makes_of_it(
    known: Vocabulary, line: str, options: dict[str, OptionValue]
) -> None:
    parsed = LLAMA_CPP.parse_command(f"llama-server {line}", known)
    leave_unknown_out(parsed, known)

    assert parsed.options == options


def test_short_forms_and_negations_are_those_of_the_help(other: Vocabulary) -> None:
    assert LLAMA_CPP.canonical({"nzz": True, "no_plain": True}, other) == {
        "zigzag": False, "plain": False,
    }  # fmt: skip
    given: dict[str, OptionValue] = {"zigzag": False, "plain": False, "turns": ["1", "2"]}
    assert render(given, other) == ["--no-zigzag", "--turns", "1", "2"]
    assert render({"frills": False}, other) == ["--no-frills"]
    assert LLAMA_CPP.canonical({"zz": "off"}, other) == {"zigzag": False}


def test_the_tools_of_the_engine_are_not_turned_on_by_what_turns_them_off() -> None:
    parsed = LLAMA_CPP.parse_command("llama-server -m /m.gguf -no-ag", UNREAD)

    assert parsed.options == {"model": "/m.gguf", "agent": False}


def test_a_value_for_a_switch_and_a_switch_for_a_value_are_told_apart(known: Vocabulary) -> None:
    assert LLAMA_CPP.canonical({"warmup": "false", "mlock": "on"}, known) == {
        "warmup": False, "mlock": True,
    }  # fmt: skip
    with pytest.raises(InvalidOption, match=r"ctx_size.*needs a value"):
        LLAMA_CPP.canonical({"ctx_size": True}, known)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("ctxsize", "ctx_size"), ("contextsize", "ctx_size"), ("num_ctx", "ctx_size"),
        ("treads", "threads"), ("tempp", "temp"), ("flash_attention", "flash_attn"),
        ("gpu_layer", "gpu_layers"), ("no_such_thing", ""),
    ],
)  # fmt: skip
def test_an_option_that_the_engine_lacks_is_refused_with_the_near_one(
    known: Vocabulary, given: str, meant: str
) -> None:
    for body in ({given: 1}, {"backend_options": {given: 1}}):
        with pytest.raises(UnknownOption) as refused:
            read_definition(body, known=known)
        assert given in refused.value.message
        assert (f"did you mean {meant}?" in refused.value.message) is bool(meant)

    assert read_definition({given: 1}, known=known, allow_unknown=True).engine == {given: 1}
    assert read_definition({given: 1}).engine == {given: 1}  # its help can't be read


def test_what_an_instance_has_already_is_not_refused(known: Vocabulary) -> None:
    had: dict[str, OptionValue] = {"ctxsize": 4096}
    same = {"backend_options": {"ctxsize": 4096, "threads": 2}}

    assert read_definition(same, "llama_cpp", had=had, known=known).engine["threads"] == 2
    assert read_definition({"ctxsize": None}, "llama_cpp", had=had, known=known).engine == {
        "ctxsize": None
    }
    with pytest.raises(UnknownOption):
        read_definition({"ctxsize": 8192}, "llama_cpp", had=had, known=known)


def test_an_option_is_changed_and_removed_by_any_of_its_names(known: Vocabulary) -> None:
    now = InstanceOptions("llama_cpp", {"hf_repo_draft": "a/b", "model": "/m"})
    patch = read_definition({"hfd": "c/d"}, "llama_cpp", known=known)

    assert merge(now, patch).backend_options == {"model": "/m", "spec_draft_hf": "c/d"}
    gone = read_definition({"hf_repo_draft": None}, "llama_cpp", known=known)
    assert merge(now, gone).backend_options == {"model": "/m"}


def test_what_a_pasted_line_has_more_than_the_engine_is_named(known: Vocabulary) -> None:
    parsed: Parsed = LLAMA_CPP.parse_command("llama-server --contextsize 4096 -c 1 -c 2", known)
    leave_unknown_out(parsed, known)

    assert parsed.options == {"ctx_size": 2}
    assert parsed.not_understood == [
        "-c: given more than once; the last one counts",
        "--contextsize: the engine has no such option, did you mean ctx_size?",
    ]


def test_what_is_known_without_a_help_is_what_the_engine_says() -> None:
    """`packaging/generate_llama_flags.py` writes it."""
    with use(LLAMA_SERVER) as engine:
        now = Vocabulary(read_help(engine.help()))
    former = with_former(UNREAD)
    both = [flag for flag in now if flag in former]

    assert len(both) > 250
    differ = [
        flag
        for flag in both
        if (now[flag].kind == "switch") is not (former[flag].kind == "switch")
        or now[flag].is_off(flag) is not former[flag].is_off(flag)
        or now[flag].words != former[flag].words
    ]
    assert differ == []


def test_a_help_that_is_none_refuses_nothing() -> None:
    wrapper = "usage: serve-model [options]\n\n  --debug     say more\n"

    assert LLAMA_CPP.read_help(wrapper) == []


def test_names_that_are_like_nothing_have_no_near_one() -> None:
    assert nearest("", ["a"]) == "" == nearest("x", [])
