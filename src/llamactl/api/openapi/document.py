"""The OpenAPI document: the routes of the management API, and what they can't say themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from llamactl.api.openapi.data_path import SCHEMAS, data_path
from llamactl.backends import BACKENDS, DEFAULT
from llamactl.policy.definition.fields import OPTIONS

Document = dict[str, Any]

_DATA_PATH_TAGS = {
    "inference": "Requests to models, by `model`. An inference key is sufficient.",
    "proxy": "Requests to an engine, by instance name.",
}
_TAGS = {
    "system": "The server itself.",
    "instances": "Define, run and inspect instances.",
    "events": "What happened, and why.",
    "keys": "Inference keys.",
    "nodes": "The machines that run instances.",
    "requests": "What runs, and the last requests that ended, without their content.",
    "contexts": "What is kept of conversations while their instances are stopped.",
    "config": "Settings and sets of instances.",
    "models": "Model files and downloads.",
    "backends": "Engines and their options.",
    "session": "Sign-in of browsers.",
    "live": "The event stream for the web page.",
}
_KINDS = {
    "State": "The exact state of an instance.",
    "JobKind": "What is downloaded.",
    "JobState": "State of a download.",
    "PermissionMode": "Whether a key may use all instances or only selected ones.",
}
_KEYS = {
    ("get", ""): "List the inference keys, without their secrets.",
    ("post", ""): "Create an inference key. Its secret is returned only once, in this response.",
    ("get", "/{key_id}"): "Get an inference key, without its secret.",
    ("delete", "/{key_id}"): "Revoke an inference key immediately.",
    ("get", "/{key_id}/permissions"): "List the instances that a key may use.",
}
_KEY_FIELDS = {
    "id": "ID of the key; the first part of the key itself",
    "key_id": "ID of the key",
    "name": "display name",
    "permission_mode": "whether it may use all instances or only selected ones",
    "instances": "names of the instances that it may use, if not all",
    "created_at": "Unix seconds",
    "expires_at": "Unix seconds; null if never",
    "last_used_at": "Unix seconds; null if never",
    "priority": "each step doubles the key's share of places",
}
_KEY_BODIES = {
    "KeyRequest": "An inference key to create.",
    "KeyBody": "An inference key.",
    "NewKeyBody": "An inference key, with its secret.",
    "PermissionsBody": "Permissions of a key.",
    "SignInRequest": "The key for signing in.",
    "LinkSignInRequest": "The token of a sign-in link.",
    "SignInLinkBody": "A link that signs a browser in once.",
    "SessionBody": "The session of a signed-in browser.",
    "PageBody": "Temporary path of an engine's own page.",
}
_SCALAR = [{"type": kind} for kind in ("string", "number", "boolean")]
_ENGINE_VALUE = {"anyOf": [*_SCALAR, {"type": "array", "items": {"anyOf": _SCALAR}}]}
_ENGINE_OPTIONS = (
    "engine options, by llama-server's long names with `_` instead of `-`, such as `model` or "
    "`ctx_size`; `GET /api/v1/backends/{backend}/options` lists them"
)
_EXAMPLES = {
    "flat": {
        "summary": "Engine options on the same level",
        "value": {"model": "/models/llama-2-7b.gguf", "ctx_size": 4096, "idle_timeout": 30},
    },
    "structured": {
        "summary": "Engine options in a separate object",
        "value": {
            "backend_type": DEFAULT.name,
            "backend_options": {"model": "/models/llama-2-7b.gguf", "ctx_size": 4096},
            "environment": {"CUDA_VISIBLE_DEVICES": "0"},
            "aliases": ["gpt-4o"],
        },
    },
}


_BODY_EXAMPLES = {
    "KeyRequest": {"name": "laptop", "permission_mode": "per_instance", "instances": ["gemma"]},
    "SignInRequest": {"key": "llamactl-management-…"},
    "LinkSignInRequest": {"token": "QpU2…"},
    "DownloadRequest": {"model": "org/repo:Q4_K_M"},
    "CommandRequest": {"command": "llama-server -m /models/gemma.gguf -c 8192"},
}


class DocumentedApi(FastAPI):
    """Its own document is the management API, which the client and the page are made from."""

    def openapi(self) -> Document:
        if self.openapi_schema is None:
            self.openapi_schema = _document(self)
        return self.openapi_schema


def whole(management: Document) -> Document:
    """All that is served: the data path, too."""
    components = management["components"]
    return {
        **management,
        "tags": [*_tags(_DATA_PATH_TAGS), *management["tags"]],
        "paths": {**data_path(), **management["paths"]},
        "components": {**components, "schemas": {**components["schemas"], **SCHEMAS}},
    }


def _tags(about: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "description": text} for name, text in about.items()]


def body_of(schema: str, examples: Mapping[str, Any], about: str) -> Document:
    """For a route that reads its body itself: what it takes."""
    content = {"schema": {"$ref": f"#/components/schemas/{schema}"}, "examples": {**examples}}
    return {
        "requestBody": {
            "required": True,
            "description": about,
            "content": {"application/json": content},
        }
    }


CREATE = body_of("InstanceDefinition", _EXAMPLES, "Definition of the instance, flat or structured.")
UPDATE = body_of("InstanceChange", _EXAMPLES, "Fields to change; null removes a field.")
SET = body_of(
    "InstanceSet",
    {"one": {"summary": "One instance",
             "value": {"instances": {"gemma": _EXAMPLES["structured"]["value"]}}}},
    "Definitions, by name.",
)  # fmt: skip


def _document(api: FastAPI) -> Document:
    found = get_openapi(
        title=api.title, version=api.version, description=api.description, routes=api.routes,
        tags=_tags(_TAGS),
    )  # fmt: skip
    schemas = found["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):  # what is not valid is a 400 of ours
        schemas.pop(name, None)
    for item in found["paths"].values():
        for operation in item.values():
            operation["responses"].pop("422", None)
            _give_example(operation, schemas)
    for name, about in _KINDS.items():
        schemas[name]["description"] = about
    _describe_keys(found["paths"], schemas)
    schemas |= {
        "InstanceDefinition": _definition(nullable=False),
        "InstanceChange": _definition(nullable=True),
        "InstanceSet": _set(),
    }
    return found


def _definition(*, nullable: bool) -> Document:
    """From the table that bodies are checked by."""
    value = _or_null(_ENGINE_VALUE) if nullable else _ENGINE_VALUE
    properties: Document = {
        name: {**_or_null(_with_fields_or_null(option.schema)), "description": option.about}
        if nullable
        else {**option.schema, "description": option.about}
        for name, option in OPTIONS.items()
    }
    properties["backend_type"]["examples"] = [*BACKENDS]
    properties["backend_options"] = {
        **(_or_null({"type": "object", "additionalProperties": value})
           if nullable else {"type": "object", "additionalProperties": value}),
        "description": _ENGINE_OPTIONS,
    }  # fmt: skip
    return {
        "type": "object",
        "description": "Options of an instance. Without `backend_type` and `backend_options`, "
        f"other fields are {_ENGINE_OPTIONS}.",
        "properties": properties,
        "additionalProperties": value,
    }


def _with_fields_or_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of an object that is merged by its fields; the fields of others are replaced together."""
    fields: Mapping[str, Any] = schema.get("properties", {})
    nullable = {
        name: {**_or_null(one), "description": one["description"]} for name, one in fields.items()
    }
    return {**schema, "properties": nullable} if fields else schema


def _or_null(schema: Mapping[str, Any]) -> Document:
    return {"anyOf": [{**schema}, {"type": "null"}]}


def _set() -> Document:
    one = {"$ref": "#/components/schemas/InstanceDefinition"}
    instances = {"type": "object", "additionalProperties": one,
                 "description": "definitions, by name"}  # fmt: skip
    return {
        "type": "object",
        "description": "A set of instances.",
        "required": ["instances"],
        "properties": {"instances": instances},
    }


def _describe_keys(paths: Document, schemas: Document) -> None:
    """Where the routes and bodies of keys do not do so themselves."""
    for (method, below), about in _KEYS.items():
        operation = paths[f"/api/v1/auth/keys{below}"][method]
        operation.setdefault("description", about)
        for parameter in operation.get("parameters", ()):
            parameter.setdefault("description", _KEY_FIELDS[parameter["name"]])
    for name, about in _KEY_BODIES.items():
        schemas[name].setdefault("description", about)
        for field, schema in schemas[name]["properties"].items():
            if field in _KEY_FIELDS:
                schema.setdefault("description", _KEY_FIELDS[field])


def _give_example(operation: Document, schemas: Document) -> None:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        name = content["schema"].get("$ref", "").rpartition("/")[2]
        if "example" in content or "examples" in content or name not in schemas:
            continue
        if name in _BODY_EXAMPLES:
            content["example"] = _BODY_EXAMPLES[name]
