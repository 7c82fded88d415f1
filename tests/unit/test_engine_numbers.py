"""What engines count alike has one name, and what they count is theirs."""

from __future__ import annotations

from llamactl.backends import BACKENDS
from llamactl.observe.exposition import exposition, relabelled
from llamactl.observe.meters import Meter
from support import vllm_recorded as recorded

LLAMA = """# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 2
# TYPE llamacpp:tokens_predicted_total counter
llamacpp:tokens_predicted_total 70
"""


def shown(texts: dict[str, str]) -> list[str]:
    """Lines, of instances by the type of their backend."""
    names = {name: BACKENDS[name].metric_names for name in texts}
    found = relabelled({name: {"": text} for name, text in texts.items()}, names)
    return exposition([], Meter(), {}, found).decode().splitlines()


def vllm_text() -> str:
    return BACKENDS["vllm"].metrics(lambda path: recorded.body("metrics"))[""]


def test_vllms_numbers_and_llama_servers_are_one_family() -> None:
    lines = shown({"vllm": vllm_text(), "llama_cpp": LLAMA})

    assert 'llamactl_engine_requests_running{instance="vllm"} 0.0' in lines
    assert 'llamactl_engine_requests_running{instance="llama_cpp"} 2.0' in lines
    assert 'llamactl_engine_requests_waiting{instance="vllm"} 0.0' in lines
    assert 'llamactl_engine_kv_cache_usage{instance="vllm"} 0.0' in lines
    assert 'llamactl_engine_generated_tokens_total{instance="llama_cpp"} 70.0' in lines
    assert 'llamactl_engine_generated_tokens_total{instance="vllm"} 36.0' in lines
    assert 'llamactl_engine_prompt_tokens_total{instance="vllm"} 98.0' in lines
    assert 'llamactl_engine_first_token_seconds_count{instance="vllm"} 5.0' in lines
    assert 'llamactl_engine_first_token_seconds_bucket{instance="vllm",le="+Inf"} 5.0' in lines


def test_when_a_counter_began_is_not_counted_and_its_interpreter_has_none_of_our_names() -> None:
    lines = shown({"vllm": vllm_text()})

    assert not [line for line in lines if "_created" in line]
    assert len([line for line in lines if line.startswith("process_resident_memory_bytes")]) == 1
    assert 'vllm:num_requests_running{engine="0",instance="vllm",model_name="first"} 0.0' in lines


def test_engines_within_one_are_counted_together_but_their_caches_are_not_added() -> None:
    first = '{engine="0",model_name="first"} '
    text = vllm_text()
    for name, value in (("num_requests_running", 3), ("kv_cache_usage_perc", 0.25)):
        line = f"vllm:{name}{first}0.0"
        assert line in text
        text = text.replace(line, f'vllm:{name}{first}{value}\nvllm:{name}{{engine="1"}} {value}')

    lines = shown({"vllm": text})

    assert 'llamactl_engine_requests_running{instance="vllm"} 6.0' in lines
    assert 'llamactl_engine_kv_cache_usage{instance="vllm"} 0.25' in lines
