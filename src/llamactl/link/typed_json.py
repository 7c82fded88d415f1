"""Messages as JSON, read by their types."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError


def reader_of(messages: Any) -> TypeAdapter[Any]:
    """Of a union of messages, which differ by their `what`."""
    return TypeAdapter(Annotated[messages, Field(discriminator="what")])


def fault_of(exc: ValidationError) -> str:
    """Where the first one is, and what it is, without the input: there may be secrets in it."""
    first = exc.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
