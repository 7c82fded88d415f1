"""vLLM as it was recorded: its options become a process, and its words a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llamactl.backends import BACKENDS, read_definition
from llamactl.backends.contract import Start
from llamactl.backends.exits import classify
from llamactl.backends.registry import runs
from llamactl.config import Settings
from llamactl.core.errors import InvalidOption, InvalidRequest, LlamactlError, UnknownOption
from llamactl.core.exits import FailureClass
from llamactl.core.instance import Container, InstanceOptions
from llamactl.models import Confinement
from llamactl.policy.definition.engine_help import UNREAD, Vocabulary
from support import vllm_recorded as recorded

VLLM = BACKENDS["vllm"]
SETTINGS = VLLM.kind.settings
GIVEN = SETTINGS.engine
KNOWN = Vocabulary(VLLM.read_help(recorded.help_text()))


def start(known: Vocabulary = KNOWN, **options: Any) -> Start:
    given = {"model": "/m/one", **options}
    named = {k: v for k, v in VLLM.canonical(given, known).items() if v is not None}
    return Start("one", named, GIVEN, "127.0.0.1", 8123, "the-key", known=known, drain_s=60)


def words(known: Vocabulary = KNOWN, **options: Any) -> str:
    return " ".join(VLLM.launch(start(known, **options)).words)


def refusal(**options: Any) -> str:
    with pytest.raises(LlamactlError) as refused:
        VLLM.check(start(**options))
    return refused.value.message


def test_all_options_of_its_help_are_known_with_their_sections() -> None:
    options = {option.name: option for option in VLLM.read_help(recorded.help_text())}

    assert len(options) == 317  # 316 and extra_args
    assert {one.section for one in options.values() if one.flags} >= {"ModelConfig", "Frontend"}
    kinds = {name: options[name].kind for name in (
        "dtype", "max_num_seqs", "gpu_memory_utilization", "enforce_eager", "served_model_name",
        "log_level", "tensor_parallel_size", "chat_template",
    )}  # fmt: skip
    assert kinds == {
        "dtype": "choice", "max_num_seqs": "integer", "gpu_memory_utilization": "number",
        "enforce_eager": "switch", "served_model_name": "list", "log_level": "choice",
        "tensor_parallel_size": "integer", "chat_template": "text",
    }  # fmt: skip
    assert VLLM.read_help("usage: a wrapper\n\noptions:\n  --model MODEL  the model") == []


@pytest.mark.parametrize("known", [KNOWN, UNREAD], ids=["by its help", "its help is unread"])
def test_its_model_comes_by_place_and_before_what_takes_several_words(known: Vocabulary) -> None:
    given = words(known, lora_modules=["a=/l/a", "b=/l/b"], enable_lora=True, dtype="float32")

    assert given == (
        "serve /m/one --served-model-name one --shutdown-timeout 60 --lora-modules a=/l/a b=/l/b "
        "--enable-lora --dtype float32 --host 127.0.0.1 --port 8123"
    )


def test_the_settings_arguments_come_first_but_for_the_model() -> None:
    settings = SETTINGS.model_copy(update={"args": ("serve", "--allowed-media-domains", "x")})

    launch = VLLM.launch(replace(start(), settings=settings.engine))

    assert [*launch.words][:4] == ["serve", "/m/one", "--allowed-media-domains", "x"]


def test_without_the_subcommand_its_model_has_a_flag() -> None:
    settings = SETTINGS.model_copy(update={"args": ()})

    launch = VLLM.launch(replace(start(), settings=settings.engine))

    assert [*launch.words][:2] == ["--model", "/m/one"]


def test_its_image_serves_by_itself_and_a_program_in_it_is_told_to() -> None:
    boxed = replace(start(dtype="half"), container=Container(image="vllm/vllm-openai"))

    assert [*VLLM.launch(boxed).words][:2] == ["--model", "/m/one"]
    assert [*VLLM.launch(replace(boxed, override="vllm")).words][:2] == ["serve", "/m/one"]


def test_what_the_settings_say_of_its_end_counts() -> None:
    settings = SETTINGS.model_copy(update={"args": ("serve", "--shutdown-timeout", "7")})

    words = [*VLLM.launch(replace(start(), settings=settings.engine)).words]

    assert words.count("--shutdown-timeout") == 1 and "7" in words


def test_what_the_owner_sets_is_not_set_again() -> None:
    given = words(served_model_name="other", shutdown_timeout=5)
    further = words(extra_args=["--served-model-name", "a", "b"])

    assert given.count("--served-model-name") == given.count("--shutdown-timeout") == 1
    assert "--served-model-name other" in given and "--shutdown-timeout 5" in given
    assert further.count("--served-model-name") == 1


def test_it_is_asked_for_by_the_first_of_its_names() -> None:
    def asked(**options: Any) -> str:
        return VLLM.asked_for("one", start(**options).options)

    assert asked() == "one"
    assert asked(served_model_name=["first", "second"]) == "first"
    assert asked(served_model_name="only") == "only"
    assert asked(extra_args=["--served-model-name", "a", "b"]) == "a"


def test_secrets_go_through_the_environment() -> None:
    launch = VLLM.launch(start(hf_token="hf_secret"))

    assert "hf_secret" not in " ".join(launch.words) and "the-key" not in " ".join(launch.words)
    assert launch.environment["VLLM_API_KEY"] == "the-key"
    assert launch.environment["HF_TOKEN"] == "hf_secret"


def test_it_is_not_bound_to_one_core_unless_the_owner_says_so() -> None:
    own = {"VLLM_CPU_OMP_THREADS_BIND": "0-3", "VLLM_API_KEY": "mine"}

    assert VLLM.launch(start()).environment["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"
    launch = VLLM.launch(replace(start(), environment=own))
    assert launch.environment["VLLM_CPU_OMP_THREADS_BIND"] == "0-3"
    assert launch.environment["VLLM_API_KEY"] == "the-key"


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"api_key": "x"}, "set by llamactl"), ({"host": "0.0.0.0"}, "set by llamactl"),
        ({"extra_args": ["--api-key", "x"]}, "--api-key"),
        ({"extra_args": ["--port=1"]}, "--port"), ({"uds": "/x"}, "reaches engines by a port"),
        ({"root_path": "/x"}, "own paths"), ({"ssl_keyfile": "/x"}, "plain HTTP"),
        ({"headless": True}, "no HTTP"), ({"extra_args": ["--grpc"]}, "no HTTP"),
        ({"dtype": "--x"}, "flag"), ({"model": None}, "names no model"),
        ({"dtype": True}, "needs a value"), ({"speculative_config.model": "x"}, "as JSON"),
    ],
)  # fmt: skip
def test_what_it_can_not_be_given_is_refused(options: dict[str, Any], word: str) -> None:
    assert word in refusal(**options)


def test_a_key_in_the_settings_arguments_is_refused() -> None:
    settings = SETTINGS.model_copy(update={"args": ("serve", "--api-key", "x")})

    with pytest.raises(InvalidOption, match=r"backends.vllm.args can't contain '--api-key'"):
        VLLM.check(replace(start(), settings=settings.engine))


def test_switches_have_a_form_that_turns_them_off() -> None:
    given = words(enable_prefix_caching=False, no_enable_chunked_prefill=True, grpc=False)

    assert "--no-enable-prefix-caching --no-enable-chunked-prefill" in given
    assert "grpc" not in given


def test_an_option_that_it_does_not_have_is_refused_with_the_nearest() -> None:
    body = {"backend_type": "vllm", "backend_options": {"model": "m", "max_modle_len": 1}}

    with pytest.raises(UnknownOption, match="max_model_len"):
        read_definition(body, known=KNOWN)


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("vllm serve org/m -tp 2 --enforce-eager",
         {"model": "org/m", "tensor_parallel_size": 2, "enforce_eager": True}),
        ("vllm serve --served-model-name a b --model org/m --max-model-len 32k",
         {"served_model_name": ["a", "b"], "model": "org/m", "max_model_len": "32k"}),
        ("python3 -m vllm.entrypoints.openai.api_server --model org/m --port 9 --api-key x",
         {"model": "org/m"}),
        ("docker run --gpus all --ipc=host -v /data:/models vllm/vllm-openai:latest "
         "--model /models/m --no-enable-prefix-caching",
         {"model": "/data/m", "enable_prefix_caching": False}),
        ("docker run vllm/vllm-openai org/m --dtype half", {"model": "org/m", "dtype": "half"}),
        ("docker run vllm/vllm-openai serve org/m -tp 2",
         {"model": "org/m", "tensor_parallel_size": 2}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("known", [KNOWN, UNREAD], ids=["by its help", "its help is unread"])
def test_a_pasted_command_becomes_its_options(
    line: str, options: dict[str, Any], known: Vocabulary
) -> None:
    assert VLLM.parse_command(line, known).options == options


@pytest.mark.parametrize("line", ["vllm bench serve --model x", "vllm chat --url http://x"])
def test_what_serves_nothing_is_refused(line: str) -> None:
    with pytest.raises(InvalidRequest, match="does not serve"):
        VLLM.parse_command(line, KNOWN)
    assert runs(line) is None


def test_the_interpreter_of_another_environment_is_said() -> None:
    line = "/opt/v/bin/python -m vllm.entrypoints.openai.api_server --model /m"

    found = VLLM.parse_command(line, KNOWN)

    assert found.options == {"model": "/m"} and runs(line) is VLLM
    assert found.not_understood[0].startswith("/opt/v/bin/python: the configured vllm is used")


@pytest.mark.parametrize(
    ("name", "code", "failure", "said", "advice"),
    [
        ("unknown-option", 2, FailureClass.BAD_OPTION, "unrecognized arguments: --nonsense", ""),
        ("bad-choice", 2, FailureClass.BAD_OPTION, "invalid choice: 'float7'", ""),
        ("missing-path", 1, FailureClass.MODEL_FILE_MISSING, "Repo id must be", "no such folder"),
        ("context-too-long", 1, FailureClass.BAD_OPTION, "max_model_len (100000) is greater",
         "lower it"),
        ("port-taken", 1, FailureClass.PORT_TAKEN, "Address already in use", ""),
        ("sleep-mode", 1, FailureClass.BAD_OPTION, "Sleep mode is not supported", "needs a GPU"),
        ("memory", 1, FailureClass.OUT_OF_MEMORY, "less than requested memory for kv (400.0 GiB)",
         "VLLM_CPU_KVCACHE_SPACE"),
        ("broken-model", 1, FailureClass.MODEL_INVALID, "SafetensorError", "download it again"),
        ("unknown-architecture", 1, FailureClass.MODEL_INVALID, "`nobody` but Transformers", ""),
        # it leaves with 0 although it died
        ("engine-killed", 0, FailureClass.CRASHED, "EngineDeadError", "see the instance's log"),
        ("worker-killed", 0, FailureClass.CRASHED, "EngineDeadError", "try float32"),
    ],
)  # fmt: skip
def test_a_recorded_failure_has_its_reason_and_the_line_that_says_it(
    name: str, code: int, failure: FailureClass, said: str, advice: str
) -> None:
    report = classify(VLLM, code, None, recorded.log(name)[-200:])

    assert (report.failure, report.own_fault) == (failure, True)
    assert said in report.error_line and advice in report.advice


def test_a_worker_that_met_an_unknown_instruction_is_another_processors() -> None:
    """Its number is not always known by then."""
    said = "ERROR Worker proc VllmWorker-0 died unexpectedly (exit code: -4), shutting down"

    report = classify(VLLM, 0, None, [said, *recorded.log("worker-killed")[-40:]])

    assert report.failure is FailureClass.ILLEGAL_INSTRUCTION


def test_a_process_of_it_that_the_kernel_killed_was_out_of_memory() -> None:
    report = classify(VLLM, 0, None, recorded.log("engine-killed")[-200:], oom_killed=True)

    assert report.failure is FailureClass.OUT_OF_MEMORY


def test_what_its_engine_said_before_it_died_counts_more() -> None:
    log = ["ERROR torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
           "ERROR EngineDeadError: EngineCore encountered an issue."]  # fmt: skip

    assert classify(VLLM, 0, None, log).failure is FailureClass.OUT_OF_MEMORY


@pytest.mark.parametrize("pattern", VLLM.failure_patterns, ids=lambda one: one.pattern.pattern)
def test_every_reason_has_its_source(pattern: Any) -> None:
    assert pattern.source.startswith("https://")


def test_it_tells_how_many_requests_it_works_on() -> None:
    def get(path: str) -> str:
        assert path == "/metrics"
        return recorded.body("metrics").replace(
            'vllm:num_requests_running{engine="0",model_name="first"} 0.0',
            'vllm:num_requests_running{engine="0",model_name="first"} 3.0\n'
            'vllm:num_requests_running{engine="1",model_name="first"} 2.0',
        )

    assert VLLM.busy_slots(get) == 5
    assert VLLM.busy_slots(lambda path: "") is None


def test_it_tells_its_names_and_its_context() -> None:
    models = VLLM.served_models(lambda path: recorded.body("models"))

    assert [*models] == ["first", "second", "ad"]
    assert models["first"].context == 512
    assert VLLM.served_models(lambda path: "<html>") == {}


@pytest.mark.parametrize("flag", ["--trust-remote", "--middle", "--api-ke", "--kv-transfer-conf"])
def test_the_beginning_of_a_flag_is_refused_since_it_would_be_taken_for_the_flag(flag: str) -> None:
    assert "write it in full" in refusal(extra_args=[flag, "x"])
    assert "write it in full" in refusal(**{flag: "x"})


def confined(folder: Path | None = None, **given: Any) -> list[str]:
    """The fields that are refused: without commands, or within a folder."""
    found = Settings.model_validate(
        {"allow_commands": folder is not None, "model_roots": [str(folder)] if folder else []}
    )
    by = Confinement(lambda: found, lambda options: options)
    options = InstanceOptions(backend_type="vllm", backend_options=given)
    return [problem.field for problem in by.problems(options)]


def test_what_imports_code_is_off_with_the_commands() -> None:
    for name in sorted({*VLLM.meanings.programs} - {"cc"}):
        flag = f"--{name.replace('_', '-')}"
        assert confined(None, **{name: "x.Y"}) == [name]
        assert confined(extra_args=[flag, "x.Y"]), name
        assert confined(extra_args=[f"{flag}.part", "x.Y"]), name
    assert confined(extra_args=["-cc.backend", "x.Y"])
    assert not confined(model="/m", tool_call_parser="hermes", enable_auto_tool_choice=True,
                        exclude_tools_when_tool_choice_none=True)  # fmt: skip


def test_every_path_is_bound_and_numbers_are_none(tmp_path: Path) -> None:
    inside = str(tmp_path / "a")

    for name in sorted(VLLM.meanings.paths):
        assert confined(tmp_path, **{name: "/etc/passwd"}) == [name]
        assert confined(tmp_path, extra_args=[f"--{name.replace('_', '-')}", "/etc/passwd"])
    assert confined(tmp_path, lora_modules=["a=/etc/x"]) == ["lora_modules"]
    assert confined(tmp_path, model="org/name") == ["model"], "it would be downloaded elsewhere"
    assert not confined(tmp_path, model=inside, lora_modules=[f"a={inside}"], max_model_len=512,
                        max_lora_rank=16, lora_dtype="auto", enable_lora=True)  # fmt: skip
    assert not confined(tmp_path, model=inside, extra_args=["--enable-lora", "--max-loras", "2"])


def test_its_adapters_are_asked_for_by_the_instances_name() -> None:
    modules = ["a=/l/a", '{"name": "b", "path": "/l/b", "base_model_name": "x"}', "{"]

    assert VLLM.adapters(start(lora_modules=modules).options) == ["a", "b"]
    assert VLLM.adapters(start(extra_args=["--lora-modules", "c=/l/c", "d=/l/d"]).options) == [
        "c", "d"
    ]  # fmt: skip
    assert VLLM.adapters(start().options) == []
