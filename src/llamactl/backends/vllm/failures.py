"""Lines of vLLM's log that tell why it ended, each with the source that writes it.

The processes of its engine fail first, and what they say comes up again in the words of those
above them; the last line of all says nothing.
"""

from __future__ import annotations

import re

from llamactl.backends.contract import FailurePattern
from llamactl.core.exits import FailureClass

_TREE = "https://github.com/vllm-project/vllm/blob/main/vllm/"
_TORCH = "https://github.com/pytorch/pytorch/blob/main/c10/cuda/CUDACachingAllocator.cpp"
_HUB = "https://github.com/huggingface/huggingface_hub/blob/main/src/huggingface_hub/"
_SAFETENSORS = "https://github.com/huggingface/safetensors/blob/main/safetensors/src/tensor.rs"
_PYTHON = "https://docs.python.org/3/library/"


def _known(
    pattern: str, failure: FailureClass, advice: str, source: str, *, lost: bool = False
) -> FailurePattern:
    url = source if source.startswith("https:") else _TREE + source
    return FailurePattern(re.compile(pattern, re.IGNORECASE), failure, advice, url, lost=lost)


VAGUE = re.compile(
    r"Engine core initialization failed|EngineCore (failed to start|encountered)"
    r"|WorkerProc (initialization )?failed|See (root cause|stack trace)|Worker failed with error"
    r"|validation errors? for \w+Config|For further information visit|resource_tracker"
    r"|automatically increase|AsyncLLM output_handler failed|engine core exited unexpectedly"
    r"|Executor failed|raise \w+\(|Traceback|^\s*(warnings\.warn|File )|UserWarning",
    re.IGNORECASE,
)

PATTERNS = (
    _known(
        r"unrecognized arguments|invalid choice|error: argument |expected one argument"
        r"|following arguments are required",
        FailureClass.BAD_OPTION,
        "the engine does not accept one of the options; correct it",
        f"{_PYTHON}argparse.html#exiting-methods",
    ),
    _known(
        r"Address already in use",
        FailureClass.PORT_TAKEN,
        "the port is in use by another program",
        f"{_PYTHON}errno.html#errno.EADDRINUSE",
    ),
    _known(
        r"Repo id must (be|use)",
        FailureClass.MODEL_FILE_MISSING,
        "there is no such folder, and it is not the name of a repository; correct `model`",
        f"{_HUB}utils/_validators.py",
    ),
    _known(
        r"Invalid repository ID or local directory specified",
        FailureClass.MODEL_INVALID,
        "the folder in `model` has no config.json; name the folder that has, or a repository",
        "transformers_utils/config.py",
    ),
    _known(
        r"RepositoryNotFoundError|LocalEntryNotFoundError|OfflineModeIsEnabled"
        r"|Cannot find any model weights",
        FailureClass.MODEL_FILE_MISSING,
        "the model is not on this machine and can't be downloaded; download it, or correct `model`",
        f"{_HUB}errors.py",
    ),
    _known(
        r"SafetensorError",
        FailureClass.MODEL_INVALID,
        "a file of the model is damaged or incomplete; download it again",
        _SAFETENSORS,
    ),
    _known(
        r"does not recognize this architecture|Model architectures? .* (is|are) not supported"
        r"|Unrecognized model in",
        FailureClass.MODEL_INVALID,
        "this engine does not know the model's architecture; use a newer engine",
        "model_executor/models/registry.py",
    ),
    _known(
        r"User-specified max_model_len .* is greater than the derived",
        FailureClass.BAD_OPTION,
        "max_model_len is more than the model was made for; lower it",
        "config/model.py",
    ),
    _known(
        r"must be divisible by tensor parallel size",
        FailureClass.BAD_OPTION,
        "the model's attention heads can't be divided by tensor_parallel_size; change it",
        "config/model.py",
    ),
    _known(
        r"No adapter found for",
        FailureClass.BAD_OPTION,
        "a LoRA adapter in lora_modules is not there; correct its path",
        "lora/worker_manager.py",
    ),
    _known(
        r"LoRA rank .* is greater than max_lora_rank",
        FailureClass.BAD_OPTION,
        "an adapter in lora_modules has a higher rank than max_lora_rank; raise that",
        "lora/peft_helper.py",
    ),
    _known(
        r"Sleep mode is not supported",
        FailureClass.BAD_OPTION,
        "sleep mode needs a GPU; leave enable_sleep_mode out, and set idle_action to stop",
        "config/model.py",
    ),
    _known(
        r"requires --tool-call-parser",
        FailureClass.BAD_OPTION,
        "enable_auto_tool_choice needs the option tool_call_parser; set it",
        "entrypoints/launchers/cli_args.py",
    ),
    _known(
        r"larger than the available KV cache memory|Cannot auto-fit max_model_len",
        FailureClass.OUT_OF_MEMORY,
        "a request of max_model_len tokens does not fit into the KV cache: lower max_model_len, or "
        "raise gpu_memory_utilization",
        "v1/core/kv_cache_utils.py",
    ),
    _known(
        r"No available memory for the cache blocks",
        FailureClass.OUT_OF_MEMORY,
        "the model leaves no memory for the KV cache: raise gpu_memory_utilization, or use a "
        "smaller model",
        "v1/core/kv_cache_utils.py",
    ),
    _known(
        r"Free memory on device .* is less than",
        FailureClass.OUT_OF_MEMORY,
        "other programs use the GPU: stop them, or lower gpu_memory_utilization",
        "v1/worker/utils.py",
    ),
    _known(
        r"Available memory on node .* is less than requested",
        FailureClass.OUT_OF_MEMORY,
        "not enough memory for the KV cache: lower kv_cache_memory_bytes or "
        "VLLM_CPU_KVCACHE_SPACE, or run fewer instances at once",
        "v1/worker/cpu_worker.py",
    ),
    _known(
        r"Failed to load model - not enough GPU memory",
        FailureClass.OUT_OF_MEMORY,
        "the model does not fit on the GPU: use a smaller or quantized one, or raise "
        "tensor_parallel_size",
        "v1/worker/gpu_model_runner.py",
    ),
    _known(
        r"(CUDA|HIP) out of memory|torch\.(cuda\.)?OutOfMemoryError",
        FailureClass.OUT_OF_MEMORY,
        "not enough memory on the GPU: lower gpu_memory_utilization, max_num_seqs or max_model_len",
        _TORCH,
    ),
    _known(
        r"Failed to infer device type|No CUDA GPUs are available|Found no NVIDIA driver"
        r"|driver version is insufficient|CUDA driver initialization failed",
        FailureClass.GPU,
        "the engine sees no GPU: check nvidia-smi or rocminfo, or install vLLM's build for "
        "processors",
        "config/device.py",
    ),
    _known(
        r"Worker proc .* died unexpectedly \(exit code: -4\)",
        FailureClass.ILLEGAL_INSTRUCTION,
        "the engine was built for another processor: use a build for this one, or another dtype, "
        "such as float32",
        "v1/executor/multiproc_executor.py",
    ),
    _known(
        r"EngineDeadError|engine core exited unexpectedly|Worker proc .* died unexpectedly",
        FailureClass.CRASHED,
        "a process of the engine ended, and the rest followed; see the instance's log. If that "
        "happens at each first request, the processor may lack what its dtype needs: try float32",
        "v1/engine/core_client.py",
        lost=True,
    ),
)
