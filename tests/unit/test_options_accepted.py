"""The option list of each engine, held against what that engine accepts, flag by flag."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import xllamacpp as xl

from llamactl.backends import LLAMA_CPP
from llamactl.backends.llama_cpp.checks import for_engine
from llamactl.backends.llama_cpp.options import render
from llamactl.engine.flags import FlagError, apply
from llamactl.policy.definition.engine_help import EngineOption, Vocabulary
from support.engines import BOTH, BUILT_IN, Engine, use

Refusal = Callable[[Sequence[str]], str]  # why the engine does not accept these words, or ""
JSON = '{"a": "b"}'
# A value that fits where the type alone does not say it.
TEXTS = {
    "cpu_range": "0-1", "cpu_range_batch": "0-1", "spec_draft_cpu_range": "0-1", "cpu_mask": "3",
    "cpu_mask_batch": "0x3", "spec_draft_cpu_mask": "3", "spec_draft_cpu_mask_batch": "ff",
    "rpc": "", "logit_bias": "15043+1", "json_schema": "{}", "chat_template_kwargs": JSON,
    "ui_config": "{}", "mcp_servers_json": "{}", "docker_repo": "a/b", "hf_repo": "a/b",
    "spec_draft_hf": "a/b", "model_url": "https://h/m.gguf", "mmproj_url": "https://h/m.gguf",
    "grammar": 'root ::= "x"', "sampler_seq": "edskypmxt", "chat_template": "chatml",
    "device": "none", "spec_draft_device": "none", "tensor_split": "3,1", "fit_target": "64,64",
    "override_tensor": "x=CPU", "spec_draft_override_tensor": "x=CPU", "lora_scaled": "x:0.5",
    "control_vector_scaled": "x:0.5", "override_kv": "a.b=bool:false", "tools": "get_datetime",
    "samplers": "top_k;top_p", "tools_runtime": "", "mmproj_device": "none",
}  # fmt: skip
IGNORED = "defrag_thold"  # deprecated: its value is not read


def refusal_of(engine: Engine) -> Refusal:
    def built_in(words: Sequence[str]) -> str:
        try:
            apply(xl.CommonParams(), words)
        except FlagError as exc:
            return str(exc)
        return ""

    def other(words: Sequence[str]) -> str:
        done = engine.ask(*words, "--version")  # it ends there, if it comes so far
        return "" if done.returncode == 0 else (done.stderr + done.stdout).strip() or "refused"

    return built_in if engine.name == BUILT_IN else other


@pytest.fixture(scope="module", params=BOTH)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with use(request.param) as one:
        yield one


@pytest.fixture(scope="module")
def options(engine: Engine) -> Sequence[EngineOption]:
    return LLAMA_CPP.read_help(engine.help())


@pytest.fixture
def good(tmp_path: Path) -> Callable[[EngineOption], list[list[str]]]:
    """The values to try, each as words."""
    for name, text in (("json", "{}"), ("grammar", 'root ::= "x"'), ("text", "x")):
        (tmp_path / name).write_text(text)
    files = {"grammar_file": "grammar", "json_schema_file": "json", "ui_config_file": "json"}
    folders = ("slot_save_path", "media_path", "models_dir", "log_prompts_dir", "path")

    def values(option: EngineOption) -> list[list[str]]:
        if option.choices:
            return [[choice] for choice in option.choices]
        if option.words > 1:
            return [["1", "2"]]
        if option.kind == "switch":
            return [[]]
        if option.kind == "path":
            name = files.get(option.name, "text")
            return [[str(tmp_path if option.name in folders else tmp_path / name)]]
        if option.kind in ("integer", "number"):
            least = option.minimum if option.minimum is not None else 1
            return [[str(int(least))], *([["0.5"]] if option.kind == "number" else [])]
        return [[TEXTS.get(option.name, "x")]]

    return values


def test_an_engine_accepts_all_that_its_list_offers(
    engine: Engine, options: Sequence[EngineOption],
    good: Callable[[EngineOption], list[list[str]]],
) -> None:  # fmt: skip
    assert len(options) > 200
    refused = refusal_of(engine)
    all_words = [[flag, *value] for one in options for flag in one.flags for value in good(one)]

    if refused([word for words in all_words for word in words]):  # all at once, or one by one
        told = [(words[0], why) for words in all_words if (why := refused(words))]
        assert told == []


def test_an_engine_refuses_what_is_not_of_the_type(
    engine: Engine, options: Sequence[EngineOption]
) -> None:
    bad = [
        (one.name, [one.flags[-1], "no-such-thing"])
        for one in options
        if one.kind in ("switch", "integer", "number", "choice") or one.choices
        if one.flags and one.name != IGNORED
    ]
    refused = refusal_of(engine)

    with ThreadPoolExecutor(4) as pool:
        said = [*pool.map(lambda case: refused(case[1]), bad)]

    assert [name for (name, _), why in zip(bad, said, strict=True) if not why] == []


def test_what_an_instance_renders_is_accepted(
    engine: Engine,
    options: Sequence[EngineOption],
) -> None:
    """On and off, by the names that llamactl gives to options."""
    known = Vocabulary(options)
    words = list[str]()
    for one in options:
        for value in (True, False) if one.kind == "switch" else ():
            named = LLAMA_CPP.canonical({one.name: value}, known)
            words += render(for_engine(dict.fromkeys(named, value)), known)

    assert refusal_of(engine)(words) == ""
