"""The built-in engine's flags: llama-server's names on xllamacpp's fields."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import xllamacpp as xl

from llamactl.backends.llama_cpp.backend import SECRET_VARIABLES
from llamactl.engine.flags import FLAGS, FlagError, apply, fields, of_variables
from llamactl.engine.help import usage
from llamactl.engine.texts import DEFAULTS, TEXTS, VALUES
from llamactl.engine.variables import VARIABLES
from llamactl.policy.definition.engine_help import read_help
from support.engines import LLAMA_SERVER, use


def applied(*argv: str) -> xl.CommonParams:
    params = xl.CommonParams()
    apply(params, argv)
    return params


def test_flags_set_the_fields_they_name() -> None:
    params = applied(
        *("-m", "a.gguf", "-c", "512", "-ngl", "all", "-np", "3", "-t", "2", "--temp", "0.5"),
        *("--no-cont-batching", "--flash-attn", "on", "-ctk", "q8_0", "--seed", "-1"),
        *("--no-kv-offload", "--metrics", "--no-slots", "--tensor-split", "3,1", "--no-mmap"),
        *(
            "--reasoning-format",
            "deepseek",
            "--alias",
            "x,y",
            "--timeout",
            "7",
            "--host",
            "127.0.0.2",
        ),
    )

    assert (params.model.path, params.n_ctx, params.n_gpu_layers) == ("a.gguf", 512, -2)
    assert (params.n_parallel, params.cpuparams.n_threads, params.cont_batching) == (3, 2, False)
    assert (params.sampling.temp, params.sampling.seed) == (0.5, xl.LLAMA_DEFAULT_SEED)
    assert params.cache_type_k == xl.ggml_type.GGML_TYPE_Q8_0
    assert params.flash_attn_type == xl.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
    assert (params.no_kv_offload, params.endpoint_metrics, params.endpoint_slots) == (
        True,
        True,
        False,
    )
    assert params.tensor_split[:3] == [3.0, 1.0, 0.0]
    assert params.load_mode == xl.llama_load_mode.LLAMA_LOAD_MODE_NONE
    assert params.reasoning_format == xl.common_reasoning_format.COMMON_REASONING_FORMAT_DEEPSEEK
    assert (params.model_alias, params.timeout_read, params.hostnames) == (
        {"x", "y"},
        7,
        ["127.0.0.2"],
    )


@pytest.mark.parametrize("argv", [["--log-disable", "-v"], ["-lv", "4", "--log_disable"]])
def test_a_log_that_is_switched_off_stays_off(argv: list[str]) -> None:
    """As with llama-server, whose verbosity counts only while it logs."""
    assert applied(*argv).verbosity == -1


def test_an_engine_without_a_log_says_nothing_of_its_model(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "llamactl.engine", "--model", str(tmp_path / "none.gguf")]

    heard, silent = (
        subprocess.run([*words, *more], capture_output=True, text=True, check=False)
        for more in ([], ["--log-disable"])
    )

    assert "srv" in heard.stdout + heard.stderr
    assert silent.returncode == heard.returncode == 1
    assert silent.stdout == ""
    assert silent.stderr == "error: Failed to init server, please check the input params.\n"


def test_reranking_asks_for_rank_pooling() -> None:
    params = applied("--reranking")

    assert params.embedding
    assert params.pooling_type == xl.llama_pooling_type.LLAMA_POOLING_TYPE_RANK


def test_a_schema_becomes_a_grammar(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"type": "boolean"}')

    assert "boolean" in applied("-jf", str(tmp_path / "s.json")).sampling.grammar.grammar


@pytest.mark.parametrize(
    "argv",
    [
        ("--nothing",),
        ("stray",),
        ("--model",),
        ("-c", "many"),
        ("--pooling", "fish"),
        ("--no-model",),
        ("--chat-template-file", "/nowhere"),
        ("--json-schema", "{"),
        ("--rope-scale", "0"),
        ("--", "x"),
    ],
)
def test_what_does_not_fit_is_refused(argv: tuple[str, ...]) -> None:
    with pytest.raises(FlagError):
        applied(*argv)


def test_every_name_stands_for_a_field_that_is_there() -> None:
    known = {path for path, _ in fields(xl.CommonParams())}

    assert [path for path, _ in FLAGS.values() if path not in known] == []


def test_help_names_every_field() -> None:
    text = usage()

    for flag in ("--ctx-size", "-ngl", "--embedding", "--swa-full", "--mirostat", "LLAMA_API_KEY"):
        assert flag in text


def test_secrets_come_by_the_environment_and_a_flag_counts_more() -> None:
    environ = {"HF_TOKEN": "hf", "LLAMA_ARG_MODEL_URL": "https://u:p@h/m.gguf", "HOME": "/"}

    assert applied(*of_variables(environ)).hf_token == "hf"
    assert applied(*of_variables(environ)).model.url == "https://u:p@h/m.gguf"
    assert applied(*of_variables(environ), "-hft", "other").hf_token == "other"
    assert of_variables({"HF_TOKEN": ""}) == []


def test_what_a_form_shows_first_has_a_help_text() -> None:
    told = {one.name: one.help for one in read_help(usage())}
    silent = [name for name, text in told.items() if not re.sub(r"\(default: .*?\)", "", text)]

    assert not {
        "model", "hf_repo", "hf_file", "mmproj", "lora", "ctx_size", "parallel", "kv_unified",
        "gpu_layers", "split_mode", "tensor_split", "main_gpu", "fit", "cache_type_k",
        "cache_type_v", "kv_offload", "override_tensor", "load_mode", "mmap", "mlock", "numa",
        "cache_ram", "threads", "threads_batch", "threads_http", "batch_size", "ubatch_size",
        "flash_attn", "cont_batching", "prio", "poll", "warmup", "cache_prompt", "cache_reuse",
        "context_shift", "slot_prompt_similarity", "rope_scaling", "rope_scale", "predict",
        "temperature", "top_k", "top_p", "min_p", "typical", "seed", "repeat_penalty",
        "presence_penalty", "frequency_penalty", "mirostat", "samplers", "grammar", "json_schema",
        "alias", "jinja", "chat_template", "chat_template_file", "reasoning", "reasoning_format",
        "reasoning_budget", "embedding", "rerank", "pooling", "timeout", "metrics", "slots",
        "verbosity", "spec_draft_model", "spec_draft_n_max", "spec_type",
    } & {*silent}  # fmt: skip
    assert len(silent) < len(told) / 2


def test_texts_are_of_flags_that_there_are() -> None:
    flags = {flag for one in read_help(usage()) for flag in one.flags}

    assert [flag for flag in (*TEXTS, *VALUES, *DEFAULTS) if flag not in flags] == []


def test_a_variable_of_llama_servers_sets_what_its_flag_does() -> None:
    environ = {
        "LLAMA_ARG_MODEL": "/m/a.gguf", "LLAMA_ARG_CTX_SIZE": "512", "LLAMA_ARG_N_GPU_LAYERS": "7",
        "LLAMA_ARG_N_PARALLEL": "3", "LLAMA_ARG_BATCH": "64", "LLAMA_ARG_EMBEDDINGS": "1",
        "LLAMA_ARG_MMAP": "off", "LLAMA_ARG_CONT_BATCHING": "false", "LLAMA_ARG_JINJA": "true",
        "LLAMA_ARG_NO_KV_OFFLOAD": "1", "LLAMA_ARG_OF_ANOTHER": "1", "HOME": "/root",
    }  # fmt: skip
    found = applied(*of_variables(environ))

    assert (found.model.path, found.n_ctx, found.n_gpu_layers) == ("/m/a.gguf", 512, 7)
    assert (found.n_parallel, found.n_batch, found.embedding) == (3, 64, True)
    assert (found.cont_batching, found.use_jinja, found.no_kv_offload) == (False, True, True)
    assert found.load_mode == applied("--no-mmap").load_mode
    assert applied(*of_variables(environ), "-c", "9").n_ctx == 9


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("LLAMA_ARG_MMAP", "disabled", ["--no-mmap"]), ("LLAMA_ARG_MMAP", "enabled", ["--mmap"]),
     ("LLAMA_ARG_NO_MMAP", "0", ["--no-mmap"]),  # that it is there is enough
     ("LLAMA_ARG_CONT_BATCHING", "0", ["--cont-batching", "false"]),
     ("LLAMA_ARG_NO_CONT_BATCHING", "x", ["--cont-batching", "false"]),
     ("LLAMA_ARG_NO_CTX_SIZE", "1", []), ("LLAMA_ARG_RERANKING", "no", []),
     ("LLAMA_ARG_API_KEY", "x", []), ("LLAMA_ARG_GRAMMAR_FILE", "/etc/passwd", []),
     ("LLAMA_ARG_HOST", "0.0.0.0", []), ("LLAMA_ARG_PORT", "1", []), ("LLAMA_ARG_", "1", [])],
)  # fmt: skip
def test_only_the_variables_of_llama_servers_count(name: str, value: str, words: list[str]) -> None:
    assert of_variables({name: value}) == words


def test_a_variable_that_is_neither_true_nor_false_is_refused() -> None:
    with pytest.raises(FlagError, match=r"LLAMA_ARG_CONT_BATCHING: 'no' is neither true nor false"):
        of_variables({"LLAMA_ARG_CONT_BATCHING": "no"})


def test_the_variables_are_those_of_its_help() -> None:
    """For each flag that the built-in engine has, and for no other."""
    listed: dict[str, str] = {}
    with use(LLAMA_SERVER) as engine:
        blocks = re.split(r"\n(?=-)", engine.help())
    for block in blocks:
        if named := re.search(r"\(env: ([A-Z_0-9]+)\)", block):
            listed[named[1]] = block
    assert len(listed) > 100

    for variable, flag in VARIABLES.items():
        assert f"--{flag}" in listed[variable], variable
    ours = {one for path in read_help(usage()) for one in path.flags}
    lacking = {
        variable
        for variable, block in listed.items()
        if variable not in VARIABLES
        and ours & set(re.findall(r"--[a-z0-9-]+", block.split("\n")[0]))
    }
    assert {*SECRET_VARIABLES.values()} <= listed.keys()
    assert lacking <= {"LLAMA_API_KEY", "LLAMA_ARG_HOST", "LLAMA_ARG_PORT"}  # set by llamactl
