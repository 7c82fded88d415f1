"""Engines' own help, as options; command lines, as options."""

from __future__ import annotations

from typing import Any

import pytest

from llamactl.backends import BACKENDS, LLAMA_CPP
from llamactl.backends.llama_cpp.options import render
from llamactl.core.errors import InvalidRequest
from llamactl.policy.definition.command_line import Parsed
from llamactl.policy.definition.engine_help import EngineOption, Vocabulary, read_help
from support.engines import BUILT_IN, LLAMA_SERVER, use

# In the form that common_arg::to_string of llama.cpp's common/arg.cpp prints.
LLAMA = """\
----- common params -----

-h,    --help, --usage                  print usage and exit
-t,    --threads N                      number of CPU threads to use during generation (default: -1)
                                        (env: LLAMA_ARG_THREADS)
-fa,   --flash-attn [on|off|auto]       set Flash Attention use ('on', 'off', or 'auto', default:
                                        'auto')
-ctk,  --cache-type-k TYPE              KV cache data type for K
                                        allowed values: f32, f16
                                        (default: f16)
--mmap, --no-mmap                       whether to memory-map model (default: enabled)
-sm,   --split-mode {none,layer,row}    how to split the model across multiple GPUs, one of:
                                        - none: use one GPU only
-ts,   --tensor-split N0,N1,N2,...      fraction of the model to offload to each GPU
-m,    --model FNAME                    model path to load

----- sampling params -----

--temp N                                temperature (default: 0.80)
"""
ARGPARSE = """\
usage: vllm serve [model_tag] [options]

ModelConfig:
  --dtype {auto,bfloat16,float16}
                        Data type for model weights. (default: auto)
  --max-model-len MAX_MODEL_LEN
                        Model context length. (default: None)
  --enforce-eager, --no-enforce-eager
                        Always use eager-mode PyTorch. (default: False)
  --tensor-parallel-size TENSOR_PARALLEL_SIZE, -tp TENSOR_PARALLEL_SIZE
                        Number of groups. (default: 1)
"""


def test_llama_servers_form_is_read() -> None:
    found = {o.name: o for o in read_help(LLAMA)}

    assert {name: option.kind for name, option in found.items()} == {
        "help": "switch", "threads": "integer", "flash_attn": "choice", "cache_type_k": "choice",
        "mmap": "switch", "split_mode": "choice", "tensor_split": "list", "model": "path",
        "temp": "number",
    }  # fmt: skip
    assert found["threads"].flags == ("-t", "--threads")
    assert found["split_mode"].choices == ("none", "layer", "row")
    assert (found["threads"].default, found["temp"].default) == ("-1", "0.80")
    assert "(env: LLAMA_ARG_THREADS)" in found["threads"].help
    assert (found["mmap"].section, found["temp"].section) == ("common params", "sampling params")


def test_argparses_form_is_read() -> None:
    found = {o.name: o for o in read_help(ARGPARSE)}

    assert {name: (o.kind, o.default) for name, o in found.items()} == {
        "dtype": ("choice", "auto"), "max_model_len": ("text", "None"),
        "enforce_eager": ("switch", "False"), "tensor_parallel_size": ("integer", "1"),
    }  # fmt: skip
    assert found["tensor_parallel_size"].flags == ("--tensor-parallel-size", "-tp")
    assert found["dtype"].section == "ModelConfig"


def test_the_built_in_engines_help_holds_what_it_takes() -> None:
    with use(BUILT_IN) as engine:
        found = {o.name: o.kind for o in read_help(engine.help())}

    assert len(found) > 200
    assert (found["ctx_size"], found["temperature"], found["cache_prompt"]) == (
        "integer",
        "number",
        "switch",
    )


@pytest.fixture(scope="module")
def real() -> list[EngineOption]:
    """The options of llama.cpp's own llama-server."""
    with use(LLAMA_SERVER) as engine:
        return read_help(engine.help())


def test_a_real_llama_servers_types_are_read(real: list[EngineOption]) -> None:
    found = {o.name: (o.kind, o.default) for o in real}

    assert len(found) > 200
    wanted = {
        "top_p": ("number", "0.95"), "typical": ("number", "1.00"), "top_k": ("integer", "40"),
        "ctx_size": ("integer", "0"), "predict": ("integer", "-1"), "mirostat": ("integer", "0"),
        "cache_ram": ("integer", "8192"), "slot_prompt_similarity": ("number", "0.10"),
        "sleep_idle_seconds": ("integer", "-1"), "yarn_orig_ctx": ("integer", "0"),
        "rope_freq_scale": ("number", ""), "poll": ("integer", "50"), "device": ("list", ""),
        "cpu_mask": ("text", ""), "load_mode": ("choice", "auto"),
        "reasoning_format": ("choice", "auto"), "mmap": ("switch", ""), "mlock": ("switch", ""),
        "samplers": ("text", "penalties;dry;top_n_sigma;top_k;typ_p;top_p;min_p;xtc;temperature"),
    }  # fmt: skip
    assert {name: found[name] for name in wanted} == wanted
    choices = {o.name: o.choices for o in real}
    assert choices["numa"] == ("distribute", "isolate", "numactl")
    assert choices["load_mode"][:2] == ("auto", "none")


def test_a_real_llama_servers_switches_are_turned_on_and_off_by_its_own_flags(
    real: list[EngineOption],
) -> None:
    for option in real:
        if option.kind == "switch" and option.name not in ("fit", "log_colors"):
            ((name, _),) = LLAMA_CPP.canonical({option.name: True}).items()
            words = [*render({name: True}), *render({name: False})]
            dotted = {flag.replace(".", "-") for flag in option.flags}

            assert set(words) <= dotted, option


def test_short_flags_that_turn_something_off_are_understood(real: list[EngineOption]) -> None:
    line = "llama-server -nkvo -nocb -ndio -nr -no-kvu --no-mmproj --no-host --no-mmap -kvu"
    found = LLAMA_CPP.parse_command(line, Vocabulary(real))

    assert found.not_understood == []
    assert {**found.options, "kv_unified": None} == {
        "kv_offload": False, "cont_batching": False, "direct_io": False, "repack": False,
        "kv_unified": None, "mmproj_auto": False, "no_host": True, "mmap": False,
    }  # fmt: skip
    names = LLAMA_CPP.canonical({"nkvo": True, "no_kvu": True, "ndio": False, "nr": True})
    assert names == {
        "kv_offload": False, "kv_unified": False, "direct_io": True, "repack": False,
    }  # fmt: skip


def parsed(text: str, engine: str = "llama_cpp") -> Parsed:
    known = Vocabulary(read_help(LLAMA if engine == "llama_cpp" else ARGPARSE))
    return BACKENDS[engine].parse_command(text, known)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("llama-server -m '/my models/x.gguf' -c 4096", {"model": "/my models/x.gguf",
                                                         "ctx_size": 4096}),
        ("./llama-server.exe --model x --no-mmap --threads=8 \\\n  -fa on", {
            "model": "x", "mmap": False, "threads": 8, "flash_attn": "on"}),
        ("llama-server --temp -0.5 --lora a --lora b --lora c", {"temp": -0.5,
                                                                 "lora": ["a", "b", "c"]}),
        ("$ sudo nice llama-server -hf org/repo:Q4_K_M  # the small one", {
            "hf_repo": "org/repo:Q4_K_M"}),
        ("llama-server --mmap on --jinja", {"mmap": True, "jinja": True}),
    ],
)  # fmt: skip
def test_a_command_line_becomes_options(text: str, options: dict[str, Any]) -> None:
    assert parsed(text).options == options


def test_what_is_ours_or_nobodys_is_told() -> None:
    found = parsed("FOO=1 llama-server -m x --host 0.0.0.0 --api-key s3cret stray")

    assert (found.options, found.environment) == ({"model": "x"}, {"FOO": "1"})
    assert [word.split(":")[0] for word in found.not_understood] == ["--host", "--api-key", "stray"]
    assert not any("s3cret" in word for word in found.not_understood)


def test_a_container_is_unwrapped() -> None:
    found = parsed(
        "docker run --rm -it --gpus all -v /data/models:/models -e HF_TOKEN=t -p 8080:8080 "
        "ghcr.io/ggml-org/llama.cpp:server -m /models/x.gguf --threads 4"
    )

    assert found.options == {"model": "/data/models/x.gguf", "threads": 4}
    assert found.environment == {"HF_TOKEN": "t"}
    assert found.image == "ghcr.io/ggml-org/llama.cpp:server"
    assert found.not_understood == [
        "--gpus all: container option",
        "-p 8080:8080: container option",
    ]


def test_vllm_takes_its_model_by_place() -> None:
    found = parsed("vllm serve org/model --dtype auto -tp 2 --enforce-eager", "vllm")

    assert found.options == {
        "model": "org/model",
        "dtype": "auto",
        "tensor_parallel_size": 2,
        "enforce_eager": True,
    }


@pytest.mark.parametrize("text", ["", "   ", "llama-server -m 'x", "x" * 70_000])
def test_what_is_no_command_says_so(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parsed(text)
