"""The data path in the OpenAPI document. It serves these itself; here they are only described."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from llamactl.backends import BACKENDS
from llamactl.wire.instances import Status

Operation = dict[str, Any]

_REFUSALS = {
    400: "the request can't be read, or names no model",
    401: "no key, or one that is not valid",
    403: "the key may not use this instance, or this path",
    404: "there is no such model or instance",
    409: "no instance can make room for this one",
    413: "the body is too large",
    415: "the body is of another kind",
    502: "the engine failed while it answered",
    503: "the instance is not running, can't start, or waited too long; see Retry-After",
    504: "the engine did not answer in time",
}
_MODEL = {"type": "string", "minLength": 1, "description": "the instance's name, or an alias"}
_STREAM = {"type": "boolean", "description": "answer as server-sent events, piece by piece"}
_MOST = {"type": "integer", "description": "tokens of the answer at most"}
_MESSAGES = {"type": "array", "items": {"type": "object"}, "description": "the talk so far"}
_TEXT_OR_TEXTS = {"description": "a text, or a list of texts"}
_FILE = {"type": "string", "contentMediaType": "application/octet-stream"}
_AUDIO = {"file": {**_FILE, "description": "the recording"}}
_IMAGE = {"image": {**_FILE, "description": "the picture"}}
_DRAWN = {"prompt": {"type": "string", "description": "what to draw"}}
_TALK = [{"role": "user", "content": "Hello!"}]
_RANKED = {"query": {"type": "string", "description": "what is looked for"},
           "documents": {"type": "array", "items": {"type": "string"},
                         "description": "texts to bring into an order"}}  # fmt: skip
_RANKING = {"query": "fruit", "documents": ["an apple", "a stone"]}
# Path -> what it does, members of its body, an example. The engine gets all other members too.
_POSTS: Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, Any]]] = {
    "/v1/chat/completions": (
        "Answer a chat.",
        {"messages": _MESSAGES, "stream": _STREAM, "max_tokens": _MOST},
        {"messages": _TALK, "max_tokens": 100},
    ),
    "/v1/completions": (
        "Complete a text.",
        {"prompt": _TEXT_OR_TEXTS, "stream": _STREAM, "max_tokens": _MOST},
        {"prompt": "Once upon a time", "max_tokens": 100},
    ),
    "/v1/responses": (
        "Answer in the form of OpenAI's Responses API.",
        {"input": {"description": "a text, or a list of items"}, "stream": _STREAM},
        {"input": "Hello!"},
    ),
    "/v1/messages": (
        "Answer in the form of Anthropic's Messages API.",
        {"messages": _MESSAGES, "stream": _STREAM, "max_tokens": _MOST},
        {"messages": _TALK, "max_tokens": 100},
    ),
    "/v1/messages/count_tokens": (
        "Count the tokens of a request for `/v1/messages`.",
        {"messages": _MESSAGES},
        {"messages": _TALK},
    ),
    "/v1/embeddings": ("Turn texts into vectors.", {"input": _TEXT_OR_TEXTS}, {"input": "Hello!"}),
    "/v1/rerank": ("Order texts by how well they fit a query.", _RANKED, _RANKING),
    "/v1/reranking": ("The same as `/v1/rerank`.", _RANKED, _RANKING),
    "/v1/audio/speech": (
        "Speak a text.",
        {"input": {"type": "string", "description": "what to say"},
         "voice": {"type": "string", "description": "one of the engine's"}},
        {"input": "Hello!", "voice": "default"},
    ),
    "/v1/audio/transcriptions": ("Write down what is said.", _AUDIO, {}),
    "/v1/audio/translations": ("Write down in English what is said.", _AUDIO, {}),
    "/v1/images/generations": ("Draw a picture.", _DRAWN, {"prompt": "a lighthouse"}),
    "/v1/images/edits": ("Change a picture.", {**_IMAGE, **_DRAWN}, {}),
    "/v1/images/variations": ("Draw pictures that are like one.", _IMAGE, {}),
}  # fmt: skip
_FORMS = frozenset(
    path for path, (_, members, _) in _POSTS.items() if {"file", "image"} & {*members}
)
_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"},
         "description": "the instance's name, or one of its aliases"}  # fmt: skip
_PATH = {"name": "path", "in": "path", "required": True, "schema": {"type": "string"},
         "description": "as the engine knows it; may hold slashes"}  # fmt: skip
_ANY = {"application/octet-stream": {"schema": {"description": "what the engine answers"}}}
_CAPABILITIES = ["completion", "embedding", "rerank", "vision", "audio", "tools", "thinking"]
_META = {
    "n_ctx": {"type": "integer", "description": "the same as `context_length`"},
    "n_ctx_train": {"type": "integer", "description": "tokens that the model was trained on"},
    "n_embd": {"type": "integer", "description": "width of a token's vector"},
    "n_layer": {"type": "integer", "description": "blocks of the network"},
    "n_params": {"type": "integer", "description": "how many weights it has"},
    "size": {"type": "integer", "description": "bytes of its files"},
    "modified": {"type": "integer", "description": "Unix seconds, of the files"},
    "architecture": {"type": "string", "description": "such as llama or qwen3"},
    "quantization": {"type": "string", "description": "of most of its weights"},
}
_SERVED_MODEL = {
    "type": "object",
    "description": "A model, as an instance serves it. What is not known is left out.",
    "required": ["id", "object", "created", "owned_by", "state"],
    "properties": {
        "id": {"type": "string", "description": "the instance's name; of one with several models, "
               "that, a slash and the engine's name of the model; an alias where "
               "`server.list_aliases` is set"},
        "object": {"type": "string", "const": "model", "description": "always `model`"},
        "created": {"type": "integer", "description": "Unix seconds"},
        "owned_by": {"type": "string", "description": "always `llamactl`"},
        "aliases": {"type": "array", "items": {"type": "string"}, "description": "further names"},
        "context_length": {"type": "integer", "description": "tokens that one request may take, "
                           "answer included"},
        "max_model_len": {"type": "integer", "description": "the same, as vLLM calls it"},
        "capabilities": {"type": "array", "items": {"type": "string", "enum": _CAPABILITIES},
                         "description": "what it can be used for"},
        "state": {"type": "string", "enum": [*get_args(Status)],
                  "description": "of its instance, as the management API has its `status`"},
        "meta": {"type": "object", "description": "as llama-server has it", "properties": _META},
    },
}  # fmt: skip
_REFUSAL = {
    "type": "object",
    "description": "How a failure is answered, in the form that the path's API has.",
    "required": ["error"],
    "properties": {
        "error": {
            "anyOf": [{"type": "string"}, {"type": "object"}],
            "description": "what was tried, what happened, what to do; in an object's `message` "
            "where a client or an API expects one",
        },
        "code": {"type": "string", "description": "stable, for programs"},
        "type": {"type": "string", "description": "`error`, in Anthropic's form"},
        "details": {"type": "object", "description": "further facts, by name"},
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
                           "description": "by name; those that the key may use"}}}  # fmt: skip
    about = "The models that the key may use, running or not."
    yield (
        "/v1/models",
        {"get": _operation("List models", about, "inference", 401) | _answer(listed)},
    )
    model = {**_PATH, "name": "id", "description": "a model's id, or an alias"}
    about = "One model that the key may use."
    one = _operation("Get model", about, "inference", 401, 404) | _answer(_ref("ServedModel"))
    yield "/v1/models/{id}", {"get": {**one, "parameters": [model]}}
    about = "The same as `/v1/models`; a browser that asks for a page gets the web page."
    plain = _operation("List models, without /v1", about, "inference", 401) | _answer(listed)
    yield "/models", {"get": plain}
    about = "The same as `/v1/models/{id}`; a browser that asks for a page gets the web page."
    one = _operation("Get model, without /v1", about, "inference", 401, 404)
    yield (
        "/models/{id}",
        {"get": {**one, **_answer(_ref("ServedModel")), "parameters": [model]}},
    )
    for path, (about, members, example) in _POSTS.items():
        yield path, {"post": _inference(path, about, members, example)}
    about = "Whatever else an engine has there; the instance is named by `model`."
    named = {"name": "model", "in": "query", "required": True, "schema": _MODEL,
             "description": "the instance's name, or an alias"}  # fmt: skip
    other = _operation("Any other path of an engine", about, "inference", *_REFUSALS)
    yield (
        "/v1/{path}",
        {
            "get": {**other, "parameters": [_PATH, named]},
            "post": {**other, "parameters": [_PATH], **_body({}, {}, form=False)},
        },
    )
    for door, about in _DOORS.items():
        methods = ("get", "post", "put", "patch", "delete")
        yield f"{door}/{{path}}", {method: _raw(method, about) for method in methods}


_DOORS = {
    "/api/v1/instances/{name}/proxy": (
        "The raw proxy: any method, and WebSockets, to any path of the engine. It needs a "
        "management key, and starts nothing."
    ),
    "/upstream/{name}": (
        "Any method, and WebSockets, to a path of the engine. Inference starts the instance; "
        "what is not inference needs a management key."
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
    said = f"{about} The engine answers; the instance is started if it is not running."
    operation = _operation(f"POST {path}", said, "inference", *_REFUSALS)
    return operation | _body(members, example, form=path in _FORMS)


def _raw(method: str, about: str) -> Operation:
    operation = _operation(f"{method.upper()} on an engine", about, "proxy", *_REFUSALS)
    operation["parameters"] = [_NAME, _PATH]
    if method in ("post", "put", "patch"):
        anything = {"schema": {"description": "what the engine expects"}, "example": {}}
        content = {"application/json": anything}
        operation["requestBody"] = {"description": "Handed on as it is.", "content": content}
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
            "200": {"description": "What the engine answers", "content": _ANY},
            **refused,
        },
    }


def _answer(schema: Mapping[str, Any]) -> Operation:
    content = {"application/json": {"schema": schema}}
    return {"responses": {"200": {"description": "The answer", "content": content}}}


def _body(members: Mapping[str, Any], example: Mapping[str, Any], *, form: bool) -> Operation:
    schema = {
        "type": "object",
        "required": ["model"],
        "properties": {"model": _MODEL, **members},
        "additionalProperties": True,
    }
    kind = "multipart/form-data" if form else "application/json"
    shown = {"model": "gemma", **example}
    about = "Further members are the engine's."
    return {
        "requestBody": {
            "required": True,
            "description": about,
            "content": {kind: {"schema": schema, "example": shown}},
        }
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
