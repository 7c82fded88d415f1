"""What to do about what llama-server answers, each with the source that writes it."""

from __future__ import annotations

import re

from llamactl.backends.contract import ErrorAdvice

_SERVER = "https://github.com/ggml-org/llama.cpp/blob/master/tools/server/"


def _known(pattern: str, advice: str, source: str) -> ErrorAdvice:
    return ErrorAdvice(re.compile(pattern, re.IGNORECASE), advice, _SERVER + source)


ADVICE = (
    _known(
        r"too large to process.*physical batch size",
        "send shorter inputs, or set the instance's ubatch_size and batch_size to the number of "
        "tokens in the longest one",
        "server-context.cpp",
    ),
    _known(
        r"exceeds the available context size|context size has been exceeded"
        r"|exceeds? the context window",
        "send less, or raise the instance's ctx_size; it is shared by its `parallel` slots",
        "server-context.cpp",
    ),
    _known(
        r"does not support embeddings",
        "set the instance's option embedding: true",
        "server-context.cpp",
    ),
    _known(
        r"does not support reranking",
        "use a reranking model, and set the instance's option reranking: true",
        "server-context.cpp",
    ),
    _known(
        r"pooling type '?none'?",
        "set the instance's option pooling, for example to mean; or use /embeddings to get a "
        "vector for each token",
        "server-context.cpp",
    ),
    _known(
        r"(image|audio|video) input is not supported|does not support (multimodal|audio)",
        "set the instance's option mmproj to the projector file of a model that has this input",
        "server-common.cpp",
    ),
    _known(
        r"(tools|tool_choice) param requires --jinja",
        "set the instance's option jinja: true",
        "server-common.cpp",
    ),
    _known(
        r"infill is not supported by this model",
        "use a model trained for fill-in-the-middle, such as a code model",
        "server-context.cpp",
    ),
    _known(
        r"does not match the expected .* format",
        "the model did not follow its chat template: retry, or set the instance's option "
        "skip_chat_parsing: true to get its raw text",
        "server-context.cpp",
    ),
    _known(
        r"invalid type for .enable_thinking",
        "set enable_thinking to true or false, without quotes",
        "server-common.cpp",
    ),
    _known(
        r"failed to parse grammar|failed to initialize samplers",
        "correct the grammar, or the schema that it is made from",
        "server-context.cpp",
    ),
    _known(
        r"does not support (metrics|slots) endpoint|does not support changing global properties"
        r"|does not support slots action",
        "set the option named in the message on the instance",
        "server-context.cpp",
    ),
)
