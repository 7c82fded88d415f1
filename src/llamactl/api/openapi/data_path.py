"""The data path in the OpenAPI document. It serves these itself; here they are only described."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from llamactl.backends import BACKENDS
from llamactl.schemas.instances import Status

Operation = dict[str, Any]

_REFUSALS = {
    400: "the request is malformed or names no model",
    401: "missing or invalid key",
    403: "the key may not use this instance or path",
    404: "unknown model or instance",
    409: "no instance can be evicted to make room for this one",
    413: "the body is too large",
    415: "unsupported type of body",
    502: "the engine failed while responding",
    503: "the instance is not running, can't start, or the wait was too long; see Retry-After",
    504: "the engine did not respond in time",
}
_MODEL = {"type": "string", "minLength": 1, "description": "name or alias of the instance"}
_STREAM = {"type": "boolean", "description": "stream the response as server-sent events"}
_MOST = {"type": "integer", "description": "maximum number of tokens in the response"}
_MESSAGES = {"type": "array", "items": {"type": "object"}, "description": "the conversation so far"}
_TEXT_OR_TEXTS = {"description": "a text, or a list of texts"}
_FILE = {"type": "string", "contentMediaType": "application/octet-stream"}
_AUDIO = {"file": {**_FILE, "description": "the audio recording"}}
_IMAGE = {"image": {**_FILE, "description": "the image"}}
_DRAWN = {"prompt": {"type": "string", "description": "what to draw"}}
_TALK = [{"role": "user", "content": "Hello!"}]
_RANKED = {"query": {"type": "string", "description": "the search query"},
           "documents": {"type": "array", "items": {"type": "string"},
                         "description": "texts to rank"}}  # fmt: skip
_RANKING = {"query": "fruit", "documents": ["an apple", "a stone"]}
# Path -> what it does, members of its body, an example. The engine gets all other members too.
_POSTS: Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, Any]]] = {
    "/v1/chat/completions": (
        "Create a chat completion.",
        {"messages": _MESSAGES, "stream": _STREAM, "max_tokens": _MOST},
        {"messages": _TALK, "max_tokens": 100},
    ),
    "/v1/completions": (
        "Create a text completion.",
        {"prompt": _TEXT_OR_TEXTS, "stream": _STREAM, "max_tokens": _MOST},
        {"prompt": "Once upon a time", "max_tokens": 100},
    ),
    "/v1/responses": (
        "Create a response in the format of OpenAI's Responses API.",
        {"input": {"description": "a text, or a list of items"}, "stream": _STREAM},
        {"input": "Hello!"},
    ),
    "/v1/messages": (
        "Create a message in the format of Anthropic's Messages API.",
        {"messages": _MESSAGES, "stream": _STREAM, "max_tokens": _MOST},
        {"messages": _TALK, "max_tokens": 100},
    ),
    "/v1/messages/count_tokens": (
        "Count the tokens of a request for `/v1/messages`.",
        {"messages": _MESSAGES},
        {"messages": _TALK},
    ),
    "/v1/embeddings": ("Create embeddings.", {"input": _TEXT_OR_TEXTS}, {"input": "Hello!"}),
    "/v1/rerank": ("Rank texts by relevance to a query.", _RANKED, _RANKING),
    "/v1/reranking": ("The same as `/v1/rerank`.", _RANKED, _RANKING),
    "/v1/audio/speech": (
        "Convert text to speech.",
        {"input": {"type": "string", "description": "text to speak"},
         "voice": {"type": "string", "description": "one of the engine's voices"}},
        {"input": "Hello!", "voice": "default"},
    ),
    "/v1/audio/transcriptions": ("Transcribe audio.", _AUDIO, {}),
    "/v1/audio/translations": ("Translate audio into English text.", _AUDIO, {}),
    "/v1/images/generations": ("Create an image.", _DRAWN, {"prompt": "a lighthouse"}),
    "/v1/images/edits": ("Edit an image.", {**_IMAGE, **_DRAWN}, {}),
    "/v1/images/variations": ("Create variations of an image.", _IMAGE, {}),
}  # fmt: skip
_FORMS = frozenset(
    path for path, (_, members, _) in _POSTS.items() if {"file", "image"} & {*members}
)
_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"},
         "description": "name or alias of the instance"}  # fmt: skip
_PATH = {"name": "path", "in": "path", "required": True, "schema": {"type": "string"},
         "description": "path on the engine; may contain slashes"}  # fmt: skip
_ANY = {"application/octet-stream": {"schema": {"description": "response of the engine"}}}
_CAPABILITIES = ["completion", "embedding", "rerank", "vision", "audio", "tools", "thinking"]
_META = {
    "n_ctx": {"type": "integer", "description": "the same as `context_length`"},
    "n_ctx_train": {
        "type": "integer",
        "description": "context length in training, in tokens",
    },
    "n_embd": {"type": "integer", "description": "size of the embedding vector"},
    "n_layer": {"type": "integer", "description": "number of layers"},
    "n_params": {"type": "integer", "description": "number of parameters"},
    "size": {"type": "integer", "description": "size of the model files in bytes"},
    "modified": {
        "type": "integer",
        "description": "modification time of the files, in Unix seconds",
    },
    "architecture": {"type": "string", "description": "such as llama or qwen3"},
    "quantization": {"type": "string", "description": "quantisation of most weights"},
}
_SERVED_MODEL = {
    "type": "object",
    "description": "A model that an instance serves. Unknown values are omitted.",
    "required": ["id", "object", "created", "owned_by", "state"],
    "properties": {
        "id": {"type": "string", "description": "name of the instance; for an instance with "
        "several models: instance name, slash, the engine's name of the model; or an alias, if "
        "`server.list_aliases` is set"},
        "object": {"type": "string", "const": "model", "description": "always `model`"},
        "created": {"type": "integer", "description": "Unix seconds"},
        "owned_by": {"type": "string", "description": "always `llamactl`"},
        "aliases": {"type": "array", "items": {"type": "string"}, "description": "other names"},
        "context_length": {"type": "integer", "description": "maximum number of tokens in a "
        "request, including the response"},
        "max_model_len": {"type": "integer", "description": "`context_length` under vLLM's name"},
        "capabilities": {"type": "array", "items": {"type": "string", "enum": _CAPABILITIES},
                         "description": "capabilities of the model"},
        "state": {"type": "string", "enum": [*get_args(Status)],
                  "description": "state of its instance, as `status` in the management API"},
        "meta": {"type": "object", "description": "as in llama-server", "properties": _META},
    },
}  # fmt: skip
_REFUSAL = {
    "type": "object",
    "description": "An error, in the format of the API that the path belongs to.",
    "required": ["error"],
    "properties": {
        "error": {
            "anyOf": [{"type": "string"}, {"type": "object"}],
            "description": "message: what was tried, what happened, what to do; an object with "
            "`message` if the client or the API expects one",
        },
        "code": {"type": "string", "description": "stable code, for programs"},
        "type": {"type": "string", "description": "`error`, in Anthropic's format"},
        "details": {"type": "object", "description": "additional information, by name"},
    },
}
SCHEMAS = {"ServedModel": _SERVED_MODEL, "Refusal": _REFUSAL}


def data_path() -> dict[str, dict[str, Operation]]:
    """Paths, each with its operations by method."""
    return dict(_paths())


def _paths() -> Iterator[tuple[str, dict[str, Operation]]]:
    listed = {"type": "object", "required": ["object", "data"],
              "properties": {
                  "object": {"type": "string", "const": "list", "description": "always `list`"},
                  "data": {"type": "array", "items": _ref("ServedModel"),
                           "description": "the models that the key may use, by name"}}}  # fmt: skip
    about = "The models that the key may use, running or not."
    yield (
        "/v1/models",
        {"get": _operation("List models", about, "inference", 401) | _answer(listed)},
    )
    model = {**_PATH, "name": "id", "description": "ID or alias of a model"}
    about = "One model that the key may use."
    one = _operation("Get model", about, "inference", 401, 404) | _answer(_ref("ServedModel"))
    yield "/v1/models/{id}", {"get": {**one, "parameters": [model]}}
    about = "Same as `/v1/models`, except that browsers get the web page."
    plain = _operation("List models, without /v1", about, "inference", 401) | _answer(listed)
    yield "/models", {"get": plain}
    about = "Same as `/v1/models/{id}`, except that browsers get the web page."
    one = _operation("Get model, without /v1", about, "inference", 401, 404)
    yield (
        "/models/{id}",
        {"get": {**one, **_answer(_ref("ServedModel")), "parameters": [model]}},
    )
    for path, (about, members, example) in _POSTS.items():
        yield path, {"post": _inference(path, about, members, example)}
    about = "Any other path of the engine; `model` names the instance."
    named = {"name": "model", "in": "query", "required": True, "schema": _MODEL,
             "description": "name or alias of the instance"}  # fmt: skip
    other = _operation("Any other path of an engine", about, "inference", *_REFUSALS)
    yield (
        "/v1/{path}",
        {
            "get": {**other, "parameters": [_PATH, named]},
            "post": {**other, "parameters": [_PATH], **_body({}, {}, form=False)},
        },
    )
    for prefix, about in _RAW_PREFIXES.items():
        methods = ("get", "post", "put", "patch", "delete")
        yield f"{prefix}/{{path}}", {method: _raw(method, about) for method in methods}


_RAW_PREFIXES = {
    "/api/v1/instances/{name}/proxy": (
        "Raw proxy: passes any method, and WebSockets, to any path of the engine. It requires a "
        "management key and never starts an instance."
    ),
    "/upstream/{name}": (
        "Passes any method, and WebSockets, to a path of the engine. Inference requests start the "
        "instance; other requests require a management key."
    ),
    **{
        f"/{backend.api.prefix}/{{name}}": "The same as `/upstream`, for instances that "
        f"{backend.kind.title} serves."
        for backend in BACKENDS.values()
        if backend.api.prefix
    },
}


def _inference(
    path: str, about: str, members: Mapping[str, Any], example: Mapping[str, Any]
) -> Operation:
    said = f"{about} The engine responds. The instance is started if it is not running."
    operation = _operation(f"POST {path}", said, "inference", *_REFUSALS)
    return operation | _body(members, example, form=path in _FORMS)


def _raw(method: str, about: str) -> Operation:
    operation = _operation(f"{method.upper()} on an engine", about, "proxy", *_REFUSALS)
    operation["parameters"] = [_NAME, _PATH]
    if method in ("post", "put", "patch"):
        anything = {
            "schema": {"description": "request body that the engine expects"},
            "example": {},
        }
        content = {"application/json": anything}
        operation["requestBody"] = {"description": "Passed on unchanged.", "content": content}
    return operation


def _operation(summary: str, about: str, tag: str, *refusals: int) -> Operation:
    refused = {str(status): {"description": _REFUSALS[status],
                             "content": {"application/json": {"schema": _ref("Refusal")}}}
               for status in refusals}  # fmt: skip
    return {
        "tags": [tag],
        "summary": summary,
        "description": about,
        "security": [{"HTTPBearer": []}],
        "responses": {
            "200": {"description": "Response of the engine", "content": _ANY},
            **refused,
        },
    }


def _answer(schema: Mapping[str, Any]) -> Operation:
    content = {"application/json": {"schema": schema}}
    return {"responses": {"200": {"description": "The response", "content": content}}}


def _body(members: Mapping[str, Any], example: Mapping[str, Any], *, form: bool) -> Operation:
    schema = {
        "type": "object",
        "required": ["model"],
        "properties": {"model": _MODEL, **members},
        "additionalProperties": True,
    }
    kind = "multipart/form-data" if form else "application/json"
    shown = {"model": "gemma", **example}
    about = "Other members are passed to the engine."
    return {
        "requestBody": {
            "required": True,
            "description": about,
            "content": {kind: {"schema": schema, "example": shown}},
        }
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
