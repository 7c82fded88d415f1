"""What is asked of a node, and what it answers, as JSON by the types of the node's protocol.

The two ends may be of different versions. A version may add operations, and parameters and fields
with a default, but takes nothing away; each end ignores fields that it does not know.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Generic, Literal, ParamSpec, TypeVar, get_args, get_type_hints

import orjson
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import to_json

from llamactl.core.exits import ExitReport
from llamactl.link.typed_json import fault_of, reader_of

P = ParamSpec("P")
R = TypeVar("R")
LARGEST = 32 << 20  # bytes of a message
_BYTES = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One that comes again, with the same id, is the same call."""

    what: Literal["call"] = "call"
    id: str
    operation: str
    given: Mapping[str, Any] = field(default_factory=dict)
    log: str = ""  # of the instance of this name; "": the node itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """Item `at` of what the call brings one after another; Ended behind the last one."""

    what: Literal["next"] = "next"
    id: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CalledOff:
    """Nobody waits for the call any longer."""

    what: Literal["call off"] = "call off"
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    what: Literal["answer"] = "answer"
    value: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Not yet: it is to be asked again."""

    what: Literal["wait"] = "wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    what: Literal["end"] = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An error was raised."""

    what: Literal["refused"] = "refused"
    error: str  # the name of its class
    message: str
    code: str = "internal"
    status: int = 500
    details: Mapping[str, Any] = field(default_factory=dict)
    private: Mapping[str, Any] = field(default_factory=dict)
    fields: Sequence[str] = ()
    report: ExitReport | None = None


Asked = Call | Next | CalledOff
Answer = Answered | Waiting | Ended | Refused


def encode(message: Asked | Answer) -> bytes:
    return orjson.dumps(message)


def asked(data: bytes) -> Asked:
    """Raises ValueError for what is none."""
    found: Asked = _read(_asked(), data)
    return found


def answer(data: bytes) -> Answer:
    """Raises ValueError for what is none."""
    found: Answer = _read(_answer(), data)
    return found


@cache
def _asked() -> TypeAdapter[Any]:
    return reader_of(Asked)


@cache
def _answer() -> TypeAdapter[Any]:
    return reader_of(Answer)


class Operation(Generic[P, R]):
    """One method of a protocol. Its parameters and what it returns are values."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.name = method.__name__
        self._method = method

    def __repr__(self) -> str:
        return f"<Operation {self.name}>"

    def given(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Arguments as they are sent, by the names of the parameters."""
        bound = self._signature.bind(None, *args, **kwargs).arguments
        return {name: _json(self._types[name], value) for name, value in [*bound.items()][1:]}

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What `given` made of them. Raises ValueError where they don't fit."""
        names = [*self._signature.parameters][1:]
        return {name: _value(self._types[name], given[name]) for name in names if name in given}

    def answered(self, value: R) -> Answered:
        return Answered(value=_json(self._types["return"], value))

    def value(self, answer: Answered) -> R:
        """Raises ValueError where it does not fit."""
        found: R = _value(self._types["return"], answer.value)
        return found

    @cached_property
    def _signature(self) -> inspect.Signature:
        return inspect.signature(self._method)

    @cached_property
    def _types(self) -> dict[str, TypeAdapter[Any]]:
        """By the names of the parameters, and of `return`; of a stream that of an item."""
        hints = get_type_hints(self._method)
        if not inspect.iscoroutinefunction(self._method) and (item := get_args(hints["return"])):
            hints["return"] = item[0]
        return {
            name: TypeAdapter(hint, config=_BYTES if hint is bytes else None)
            for name, hint in hints.items()
        }


def _json(adapter: TypeAdapter[Any], value: Any) -> Any:
    return orjson.Fragment(adapter.dump_json(value))


def _value(adapter: TypeAdapter[Any], sent: Any) -> Any:
    return _read(adapter, to_json(sent))


def _read(adapter: TypeAdapter[Any], data: bytes) -> Any:
    try:
        return adapter.validate_json(data)
    except ValidationError as exc:
        raise ValueError(fault_of(exc)) from None  # whose words repeat the input
