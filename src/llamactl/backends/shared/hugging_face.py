"""What engines have in common that read models in the layout of Hugging Face."""

from __future__ import annotations

import re

from llamactl.backends.contract import FailurePattern, Start
from llamactl.core.errors import InvalidOption
from llamactl.core.exits import FailureClass

_HUB = "https://github.com/huggingface/huggingface_hub/blob/main/src/huggingface_hub/"
_TRANSFORMERS = "https://github.com/huggingface/transformers/blob/main/src/transformers/"

# No request may download a model; one that is named by its repository is in the cache.
OFFLINE = {"HF_HUB_OFFLINE": "1"}


def require_model(start: Start) -> None:
    """Raises InvalidOption where nothing names a model."""
    if not (start.options.get("model") or start.override or "--model" in start.settings.args):
        raise InvalidOption(
            "the instance names no model; set 'model' to a folder, or to a repository that was "
            "downloaded",
            details={"missing": "model"},
        )


def _known(pattern: str, failure: FailureClass, advice: str, source: str) -> FailurePattern:
    return FailurePattern(re.compile(pattern), failure, advice, source)


# Lines of their logs that tell why a model can't be loaded.
FAILURES = (
    _known(
        r"Repo id must be in the form|Repo id must use",
        FailureClass.MODEL_FILE_MISSING,
        "a folder does not exist; check the path in `model`, and in `draft_model` if set",
        _HUB + "utils/_validators.py",
    ),
    _known(
        r"Cannot find an appropriate cached snapshot|outgoing traffic has been disabled"
        r"|couldn't find them in the cached files",
        FailureClass.MODEL_FILE_MISSING,
        "the model is not on this machine, and the engine runs offline: download it first, give "
        "the path of its folder, or set HF_HUB_OFFLINE=0 in the instance's environment",
        _HUB + "_snapshot_download.py",
    ),
    _known(
        r"Repository Not Found for url|Cannot access gated repo|Revision Not Found for url",
        FailureClass.MODEL_FILE_MISSING,
        "the hub has no such model for you; check its name, and HF_TOKEN if it is not public",
        _HUB + "errors.py",
    ),
    _known(
        r"No such file or directory: .*config\.json|No safetensors found in"
        r"|does not appear to have a file named|no file named .*model\.safetensors",
        FailureClass.MODEL_INVALID,
        "the folder in `model` is not a complete model: config.json or its weights are missing; "
        "download it again",
        _TRANSFORMERS + "utils/hub.py",
    ),
    _known(
        r"\[load_safetensors\]|Error while deserializing header|JSONDecodeError: |died: Expecting "
        r"|It looks like the config file at .* is not a valid JSON file",
        FailureClass.MODEL_INVALID,
        "a file of the model is damaged or incomplete; download it again",
        "https://github.com/huggingface/safetensors/blob/main/safetensors/src/tensor.rs",
    ),
    _known(
        r"Model type .* not supported|but Transformers does not recognize this architecture"
        r"|Unrecognized model in ",
        FailureClass.MODEL_INVALID,
        "this version of the engine does not know the model's architecture; install a newer one",
        _TRANSFORMERS + "models/auto/configuration_auto.py",
    ),
    _known(
        r"Couldn't instantiate the backend tokenizer",
        FailureClass.MODEL_INVALID,
        "the folder in `model` has no tokenizer; download it again",
        _TRANSFORMERS + "tokenization_utils_tokenizers.py",
    ),
)
