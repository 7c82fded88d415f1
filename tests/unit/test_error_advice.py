"""What llama-server answers, word for word, gets advice that names the option to set."""

from __future__ import annotations

import pytest

from llamactl.backends import LLAMA_CPP, advice

# Recorded from llama-server b1-7e4c0a9, and its sources' words.
SAID = [
    ("input (2402 tokens) is too large to process. increase the physical batch size (current batch"
     " size: 64)", "ubatch_size"),
    ("input is too large to process. increase the physical batch size", "batch_size"),
    ("request (2420 tokens) exceeds the available context size (256 tokens), try increasing it",
     "ctx_size"),
    ("the request exceeds the available context size, try increasing it", "ctx_size"),
    ("Context size has been exceeded.", "ctx_size"),
    ("This server does not support embeddings. Start it with `--embeddings`", "embedding"),
    ("This server does not support reranking. Start it with `--reranking`", "reranking"),
    ("Pooling type 'none' is not OAI compatible. Please use a different pooling type", "pooling"),
    ("image input is not supported - hint: if this is unexpected, you may need to provide the"
     " mmproj", "mmproj"),
    ("The current model does not support audio input.", "mmproj"),
    ("Multimodal data provided, but model does not support multimodal requests.", "mmproj"),
    ("tools param requires --jinja flag", "jinja"),
    ("tool_choice param requires --jinja flag", "jinja"),
    ("The model produced output that does not match the expected peg-native format",
     "skip_chat_parsing"),
    ("Failed to initialize samplers: failed to parse grammar", "grammar"),
    ('invalid type for "enable_thinking" (expected boolean, got string)', "true or false"),
    ("Infill is not supported by this model: prefix token is missing. ", "fill-in-the-middle"),
]  # fmt: skip


@pytest.mark.parametrize(("message", "named"), SAID)
def test_a_well_known_error_has_advice(message: str, named: str) -> None:
    assert named in advice("llama_cpp", message)


@pytest.mark.parametrize("message", ["'messages' is required", "File Not Found", "Invalid API Key"])
def test_what_says_all_itself_has_none(message: str) -> None:
    assert advice("llama_cpp", message) == ""


def test_each_names_its_source() -> None:
    assert all(known.source.startswith("https://") for known in LLAMA_CPP.error_advice)
