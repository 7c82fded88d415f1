"""How the values of a definition's fields are checked, whatever they mean. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson

from llamactl.core.errors import CallerError, InvalidOption, InvalidRequest

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
MOST_TEXTS = 100
MAX_VALUE = 1 << 16  # characters; argv has room for more, a sane option has not
Schema = Mapping[str, Any]
STRING: Schema = {"type": "string", "maxLength": MAX_VALUE}
STRINGS: Schema = {"type": "array", "maxItems": MOST_TEXTS, "items": {"type": "string"}}
VARIABLES: Schema = {"type": "object", "additionalProperties": {"type": "string"}}


@contextmanager
def field_named(path: str) -> Iterator[None]:
    """An error says in its details which field is wrong, for forms: the innermost one."""
    try:
        yield
    except CallerError as exc:
        exc.details.setdefault("fields", [path])
        raise


def read_object(key: str, value: object) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"{key!r} must be an object")
    return value


def text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"{key!r} must be a string")
    check_text(key, value)
    return value


def check_text(key: str, value: str) -> None:
    if len(value) > MAX_VALUE:
        raise InvalidOption(f"{key!r} is longer than {MAX_VALUE} characters")
    if "\0" in value:
        raise InvalidOption(f"{key!r} contains a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise InvalidOption(f"{key!r} is not valid Unicode") from exc


def check_json(key: str, value: object, most: int) -> None:
    """Refuse what is longer than so many bytes of JSON."""
    try:
        size = len(orjson.dumps(value))
    except (TypeError, orjson.JSONEncodeError) as exc:
        raise InvalidRequest(f"{key!r} is not valid: {exc}") from exc
    if size > most:
        raise InvalidRequest(f"{key!r} is longer than {most} bytes of JSON")


def environment(key: str, given: object) -> dict[str, str]:
    result = {}
    for name, value in read_object(key, given).items():
        if not _VARIABLE.match(name):
            raise InvalidRequest(f"{name[:80]!r} is not a valid environment variable name")
        result[name] = text(f"{key}.{name}", value)
    return result


def texts(key: str, value: object) -> list[str]:
    if not isinstance(value, list | tuple) or len(value) > MOST_TEXTS:
        raise InvalidRequest(f"{key!r} must be a list of at most {MOST_TEXTS} strings")
    return [text(key, one) for one in value]
