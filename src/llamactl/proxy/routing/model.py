"""Which model does a request name? Reads as much of it as that needs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, Protocol
from urllib.parse import parse_qs, quote, unquote_plus

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from llamactl.core.errors import MalformedBody, UnsupportedMediaType
from llamactl.policy.body.filters import Edit
from llamactl.policy.body.model import ModelScanner, checked_model, model_of_json
from llamactl.proxy.http.heads import RequestHead
from llamactl.proxy.relay.body import IN_MEMORY

_LONGEST_MODEL: Final = 4096
_LONGEST_BOUNDARY: Final = 70  # RFC 2046, 5.1.1
_MOST_PARTS: Final = 1000  # before the model


class ModelExtractor(Protocol):
    """Reads a body for its model. Raises MalformedBody or ModelNotNamed.

    `patience`: bytes to wait for before looking, unless the body ends.
    """

    patience: int

    def feed(self, data: bytes) -> str | None:
        """The next bytes of the body; the model's name once it is known."""
        ...

    def end(self, chunks: list[bytes]) -> str:
        """The model's name, now that the body is complete. `chunks`: of one that was not fed."""
        ...


def extractor_for(head: RequestHead) -> Callable[[], ModelExtractor]:
    """Makes them for requests with this head. Raises MalformedBody or UnsupportedMediaType."""
    if not head.has_body:
        return partial(QueryModel, head.query)
    check_plain(head)
    if not is_form(head):
        return JsonModel
    return partial(MultipartModel, boundary_of(head))


def boundary_of(head: RequestHead) -> bytes:
    """Raises MalformedBody."""
    content_type = head.fields.get(b"content-type", b"")
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not boundary:
        raise MalformedBody("the multipart body has no boundary")
    return boundary


def check_plain(head: RequestHead) -> None:
    """Raises UnsupportedMediaType for a compressed body."""
    if head.fields.get(b"content-encoding", b"identity") != b"identity":
        raise UnsupportedMediaType(
            "compressed request bodies are not supported; send it uncompressed"
        )


def is_form(head: RequestHead) -> bool:
    return head.fields.get(b"content-type", b"")[:10].lower() == b"multipart/"


class JsonModel:
    """The top-level `model` of a JSON object. A small body is parsed, a large one scanned.

    One that fits into memory is not looked at before it is complete: so it can be sent again if its
    engine dies.
    """

    def __init__(self) -> None:
        self.patience = IN_MEMORY
        self._scanner: ModelScanner | None = None

    def feed(self, data: bytes) -> str | None:
        if self._scanner is None:
            self._scanner = ModelScanner()
        self._scanner.feed(data)
        return self._scanner.model

    def end(self, chunks: list[bytes]) -> str:
        if self._scanner is not None:
            return self._scanner.end()
        return model_of_json(chunks[0] if len(chunks) == 1 else b"".join(chunks))


class QueryModel:
    """`?model=` of a request without a body."""

    patience = 0

    def __init__(self, query: bytes) -> None:
        self._query = query

    def feed(self, data: bytes) -> str | None:
        return None

    def end(self, chunks: list[bytes]) -> str:
        named = parse_qs(self._query.decode("latin-1")).get("model", [])
        return checked_model(named[0] if named else None)


class MultipartModel:
    """The `model` field, known as soon as it is complete; the rest may still be on the wire."""

    patience = 0

    def __init__(self, boundary: bytes) -> None:
        self.model: str | None = None
        self._parts = 0
        self._before = 0  # bytes of the body, before those that are read now
        self._begun = 0  # where the field's value begins
        self._name = self._header = b""
        self._value = b""
        self._field_name = b""
        if len(boundary) > _LONGEST_BOUNDARY:
            raise MalformedBody(f"the boundary is longer than {_LONGEST_BOUNDARY} bytes")
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_part_data": self._data,
                "on_part_end": self._end,
            },
        )

    def feed(self, data: bytes) -> str | None:
        if self.model is None:  # the rest is the engine's to read
            self._read(data)
        return None if self.model is None else checked_model(self.model)

    def _read(self, data: bytes) -> None:
        try:
            self._parser.write(data)
        except FormParserError as exc:
            raise MalformedBody(f"the multipart body is malformed: {exc}") from exc
        self._before += len(data)

    def end(self, chunks: list[bytes]) -> str:
        return checked_model(self.model)

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise MalformedBody(f'no "model" among the first {_MOST_PARTS} parts of the body')
        self._name = self._header = self._value = b""
        self._field_name = b""

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._field_name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_end(self) -> None:
        if self._field_name.lower() == b"content-disposition":
            self._name = parse_options_header(self._header)[1].get(b"name", b"")
        self._field_name = self._header = b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._name == b"model":
            if not self._value:
                self._begun = self._before + start
            self._value += data[start:end]
            if len(self._value) > _LONGEST_MODEL:
                raise MalformedBody('the "model" field is too long')

    def _end(self) -> None:
        if self._name == b"model" and self.model is None:
            self.model = self._value.decode("utf-8", "replace")


class FormEditor(MultipartModel):
    """Puts an engine's own name into the `model` field, of a form that is read to its end."""

    def __init__(self, boundary: bytes, name: str) -> None:
        super().__init__(boundary)
        self._new = name.encode()
        self._edits: list[Edit] = []

    def feed(self, data: bytes) -> None:  # it looks for all of them
        self._read(data)

    def edits(self) -> list[Edit]:
        return self._edits

    def _end(self) -> None:
        if self._name == b"model":
            self._edits.append(Edit(self._begun, self._begun + len(self._value), self._new))


def query_naming(query: bytes, model: str) -> bytes:
    """The query with this as the `model`."""
    word = b"model=" + quote(model, safe="").encode()
    parts = [word if unquote_plus(part.partition(b"=")[0].decode("latin-1")) == "model" else part
             for part in query.split(b"&")]  # fmt: skip
    return b"&".join(parts)
