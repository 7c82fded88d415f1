"""What engines' sleep looks like to their backends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from llamactl.backends import backend_of
from llamactl.backends.contract import Start
from llamactl.backends.sleep import sleep_mode, why_no_sleep
from llamactl.backends.spec_hash import spec_hash
from llamactl.core.instance import Container, InstanceOptions
from llamactl.policy.definition.engine_help import EngineOption, Vocabulary, read_help
from support import vllm_recorded
from support.settings import settings

SLEEPS = InstanceOptions(idle_action="sleep")
_STATE = 'vllm:engine_sleep_state{engine="0",model_name="m",sleep_state="awake"} '
AWAKE, ASLEEP = f"{_STATE}1.0", f"{_STATE}0.0"


def start(backend: str, options: Mapping[str, object] | None = None, **more: object) -> Start:
    given = InstanceOptions(backend_type=backend, backend_options=dict(options or {}))  # type: ignore[arg-type]
    made = Start.of(given, settings("instances").engine_of(given), name="one")
    return replace(made, **more)  # type: ignore[arg-type]


def known(backend: str) -> Vocabulary:
    text = vllm_recorded.help_text() if backend == "vllm" else LLAMA_HELP
    options: list[EngineOption] = [*backend_of(backend).read_help(text)]
    return Vocabulary(options)


LLAMA_HELP = """
-m, --model FNAME       model path
--port PORT             port to listen on
--sleep-idle-seconds N  seconds of idleness after which the server sleeps
"""


@pytest.mark.parametrize(
    ("said", "seen"),
    [(AWAKE, False), (ASLEEP, True), (f"{ASLEEP}\n{AWAKE}", False), ("", None), ("other 1", None),
     ('vllm:engine_sleep_state{sleep_state="discard_all"} 0.0', None)],
)  # fmt: skip
def test_vllm_sleeps_as_its_numbers_say(said: str, seen: bool | None) -> None:
    mode = backend_of("vllm").sleep
    assert mode is not None and mode.is_asleep(lambda path: said) is seen


@pytest.mark.parametrize(
    ("said", "seen"),
    [('{"is_sleeping": true}', True), ('{"is_sleeping": false}', False), ("{}", None),
     ("", None), ("[]", None), ('{"is_sleeping": "yes"}', None)],
)  # fmt: skip
def test_llama_cpp_sleeps_as_its_props_say(said: str, seen: bool | None) -> None:
    mode, asked = backend_of("llama_cpp").sleep, list[str]()

    def get(path: str) -> str:
        asked.append(path)
        return said

    assert mode is not None and mode.is_asleep(get) is seen
    assert asked == ["/props"], "another path could wake it"


@pytest.mark.parametrize("backend", ["llama_cpp", "vllm"])
def test_the_command_has_the_flag_only_where_it_is_to_sleep(backend: str) -> None:
    one, mode = backend_of(backend), backend_of(backend).sleep
    awake = one.launch(start(backend, {"model": "m"}))
    sleepy = one.launch(start(backend, {"model": "m"}, sleep_s=90.0))

    assert mode is not None
    assert mode.flag not in awake.words and mode.flag in sleepy.words
    assert mode.environment.items() <= sleepy.environment.items()
    assert not mode.environment.items() & awake.environment.items()
    assert sleep_mode(one, SLEEPS, sleepy.words) is mode
    assert sleep_mode(one, SLEEPS, awake.words) is None
    assert sleep_mode(one, InstanceOptions(), sleepy.words) is None


def test_llama_cpp_that_was_told_never_to_sleep_does_not() -> None:
    one = backend_of("llama_cpp")
    for seconds, mode in ((5, one.sleep), (-1, None)):
        command = one.launch(start("llama_cpp", {"model": "m", "sleep_idle_seconds": seconds}))
        assert sleep_mode(one, SLEEPS, tuple(command.words)) is mode


def test_seconds_are_whole_and_at_least_one() -> None:
    mode = backend_of("llama_cpp").sleep
    assert mode is not None
    assert [mode.words(s)[1] for s in (0.1, 1.0, 1.2, 1800.0)] == ["1", "1", "2", "1800"]


@pytest.mark.parametrize(
    ("backend", "options", "more", "why"),
    [
        ("llama_cpp", {}, {}, ""),
        ("llama_cpp", {"sleep_idle_seconds": 5}, {}, "remove it"),
        ("llama_cpp", {"models_dir": "/m"}, {}, "several models"),
        ("llama_cpp", {}, {"preset": True}, "several models"),
        ("vllm", {}, {}, ""),
        ("vllm", {"enable_sleep_mode": False}, {}, "enable_sleep_mode is off"),
        ("vllm", {"enable_sleep_mode": True}, {}, ""),
        ("mlx_lm", {}, {}, "can't sleep"),
        ("command", {}, {}, "can't sleep"),
    ],
)
def test_what_keeps_an_engine_from_sleeping_is_said(
    backend: str, options: Mapping[str, object], more: Mapping[str, object], why: str
) -> None:
    words = known(backend) if backend in ("llama_cpp", "vllm") else Vocabulary([])
    said = why_no_sleep(backend_of(backend), start(backend, options, known=words, **more),
                        asked=True)  # fmt: skip
    assert (why in said) if why else (said == "")


def test_an_engine_without_the_option_stops_and_one_in_a_container_is_believed() -> None:
    one = backend_of("llama_cpp")
    old = start("llama_cpp", known=Vocabulary(read_help("--model FNAME  path\n--port P  port")))
    boxed = start("llama_cpp", container=Container(image="an-image"))

    assert "use a newer one" in why_no_sleep(one, old, asked=True)
    assert why_no_sleep(one, old, asked=False) == "", "nobody has asked it"
    assert why_no_sleep(one, boxed, asked=True) == ""


def test_another_process_is_due_only_where_the_command_says_the_time() -> None:
    engine = settings("instances").engine_of(InstanceOptions())

    def of(backend: str, **more: object) -> str:
        return spec_hash(engine, InstanceOptions(backend_type=backend, **more))  # type: ignore[arg-type]

    for backend in ("llama_cpp", "vllm"):
        assert of(backend) != of(backend, idle_action="sleep")
        assert of(backend) == of(backend, idle_action="stop", idle_timeout=5.0)
    slow, quick = ({"idle_action": "sleep", "idle_timeout": n} for n in (5.0, 1.0))
    assert of("llama_cpp", **slow) != of("llama_cpp", **quick)
    assert of("vllm", **slow) == of("vllm", **quick)
