"""The OpenAPI document says what everything is, and can't go stale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

from llamactl.api import Services, build_api
from llamactl.api.openapi.document import whole
from llamactl.backends.shared.openai import OPENAI_POSTS
from llamactl.config import Settings
from llamactl.core.instance import InstanceOptions
from llamactl.policy.definition.fields import OPTIONS
from support.served import Served, data_folder, serve

_nothing = cast(Any, None)
_services = Services(Settings(), *[_nothing] * (len(Services.__slots__) - 1))
DOCUMENT = whole(build_api(_services).openapi())
OPERATIONS = {f"{method.upper()} {path}": operation
              for path, item in DOCUMENT["paths"].items()
              for method, operation in item.items()}  # fmt: skip
SCHEMAS = DOCUMENT["components"]["schemas"]


def undescribed(schema: dict[str, Any], at: str) -> Iterator[str]:
    """Fields of a schema, at any depth, that nothing is said of."""
    for name, field in schema.get("properties", {}).items():
        if not field.get("description"):
            yield f"{at}.{name}"
        yield from undescribed(field, f"{at}.{name}")
    for word in ("items", "additionalProperties"):
        if isinstance(inner := schema.get(word), dict):
            yield from undescribed(inner, at)
    for word in ("anyOf", "oneOf", "allOf"):
        for inner in schema.get(word, ()):
            yield from undescribed(inner, at)


def contents(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Of its body and its answers."""
    for holder in (operation.get("requestBody", {}), *operation["responses"].values()):
        yield from holder.get("content", {}).values()


def test_every_operation_parameter_and_field_is_described() -> None:
    bare = [name for name, operation in OPERATIONS.items() if not operation.get("description")]
    bare += [f"{name} {parameter['name']}" for name, operation in OPERATIONS.items()
             for parameter in operation.get("parameters", ())
             if not parameter.get("description")]  # fmt: skip
    bare += [name for name, schema in SCHEMAS.items() if not schema.get("description")]
    bare += [field for name, schema in SCHEMAS.items() for field in undescribed(schema, name)]
    bare += [field for name, operation in OPERATIONS.items() for content in contents(operation)
             for field in undescribed(content.get("schema", {}), name)]  # fmt: skip
    bare += [f"{name} {status}" for name, operation in OPERATIONS.items()
             for status, answer in operation["responses"].items()
             if not answer.get("description")]  # fmt: skip
    bare += [tag for operation in OPERATIONS.values() for tag in operation["tags"]
             if tag not in {tag["name"] for tag in DOCUMENT["tags"]}]  # fmt: skip

    assert bare == []


def test_every_request_body_has_a_schema_and_an_example() -> None:
    bare = [name for name, operation in OPERATIONS.items()
            for content in operation.get("requestBody", {}).get("content", {}).values()
            if not content.get("schema") or not {"example", "examples"} & {*content}]  # fmt: skip

    assert bare == []


def test_create_and_update_are_typed_by_what_an_instance_can_have() -> None:
    options = {field.name for field in fields(InstanceOptions)}
    assert {*OPTIONS, "backend_options"} == options

    for name, operation in (("InstanceDefinition", "POST"), ("InstanceChange", "PUT")):
        body = OPERATIONS[f"{operation} /api/v1/instances/{{name}}"]["requestBody"]["content"]
        schema = body["application/json"]["schema"]
        assert schema == {"$ref": f"#/components/schemas/{name}"}
        assert {*SCHEMAS[name]["properties"]} == options
        typed = [field for field, schema in SCHEMAS[name]["properties"].items()
                 if not {"type", "anyOf"} & {*schema}]  # fmt: skip
        assert typed == []


def test_the_data_path_is_there_too() -> None:
    posts = {path for path, item in DOCUMENT["paths"].items()
             if path.startswith("/v1/") and "post" in item}  # fmt: skip
    assert posts == OPENAI_POSTS | {"/v1/{path}"}
    assert {"GET /v1/models", "GET /v1/models/{id}", "GET /v1/{path}"} <= {*OPERATIONS}
    for door in ("/api/v1/instances/{name}/proxy/{path}", "/upstream/{name}/{path}"):
        assert {*DOCUMENT["paths"][door]} == {"get", "post", "put", "patch", "delete"}


def test_no_answer_is_promised_that_is_never_given() -> None:
    """What is not valid is a 400 of ours."""
    assert [name for name, operation in OPERATIONS.items() if "422" in operation["responses"]] == []


def test_every_reference_leads_somewhere() -> None:
    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    assert {ref.rpartition("/")[2] for ref in references(DOCUMENT)} - {*SCHEMAS} == set()


def test_what_swagger_shows_is_this_document(served: Served) -> None:
    shown = served.request("GET", "/swagger/openapi.json", key="").json()

    assert shown["paths"].keys() == DOCUMENT["paths"].keys()
    assert shown["components"] == DOCUMENT["components"]


def test_where_the_document_is_closed_it_is_said_what_opens_it(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "server: {enable_swagger: false}")
    with serve(data) as server:
        for path in ("/swagger", "/swagger/", "/swagger/openapi.json"):
            answer = server.request("GET", path, key="")
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
            assert "server.enable_swagger" in answer.json()["error"]
