"""Which model does a request name? Reads as much of it as that needs."""

from __future__ import annotations

from urllib.parse import parse_qs

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from llamactl.core.errors import BodyTooLarge, MalformedBody
from llamactl.policy.body import checked_model, model_of_json
from llamactl.proxy.relay import Body
from llamactl.proxy.respond import ClientGone, Receive, Scope

MOST_JSON = 64 << 20  # bytes
_LONGEST_MODEL = 4096


async def find_model(scope: Scope, receive: Receive) -> tuple[str, Body]:
    """The model's name, and the body with what was read of it still in place.

    Raises MalformedBody, ModelMissing, BodyTooLarge or ClientGone.
    """
    headers = dict(scope["headers"])
    kind, options = parse_options_header(headers.get(b"content-type", b""))
    if kind == b"multipart/form-data":
        boundary = options.get(b"boundary", b"")
        if not boundary:
            raise MalformedBody("the multipart body has no boundary")
        return await _of_multipart(receive, boundary)
    if b"content-length" not in headers and b"transfer-encoding" not in headers:
        named = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("model", [])
        return checked_model(named[0] if named else None), Body(receive, [], more=False)
    chunks, size = [], 0
    more = True
    while more:
        chunk, more = await _receive(receive)
        size += len(chunk)
        if size > MOST_JSON:
            raise BodyTooLarge(f"the request body is larger than {MOST_JSON >> 20} MiB")
        chunks.append(chunk)
    return model_of_json(b"".join(chunks)), Body(receive, chunks, more=False)


async def _receive(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message.get("body", b""), message.get("more_body", False)


async def _of_multipart(receive: Receive, boundary: bytes) -> tuple[str, Body]:
    """Read until the `model` field is whole; the rest stays on the wire."""
    form = _ModelField(boundary)
    chunks: list[bytes] = []
    size, more = 0, True
    while more and form.model is None:
        chunk, more = await _receive(receive)
        size += len(chunk)
        if size > MOST_JSON:
            raise BodyTooLarge(
                f'no "model" field within the first {MOST_JSON >> 20} MiB; send it before the file'
            )
        chunks.append(chunk)
        form.feed(chunk)
    return checked_model(form.model), Body(receive, chunks, more=more)


class _ModelField:
    """Listens to a multipart parser for the one field that we need."""

    def __init__(self, boundary: bytes) -> None:
        self.model: str | None = None
        self._name = self._header = b""
        self._value = b""
        self._is_disposition = False
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

    def feed(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError as exc:
            raise MalformedBody(f"the multipart body is malformed: {exc}") from exc

    def _begin(self) -> None:
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
            self._value += data[start:end]
            if len(self._value) > _LONGEST_MODEL:
                raise MalformedBody('the "model" field is too long')

    def _end(self) -> None:
        if self._name == b"model" and self.model is None:
            self.model = self._value.decode("utf-8", "replace")
