"""A request to a server that plays recorded answers back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedIOBase


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    fields: Mapping[str, str]  # by name in small letters
    body: bytes

    @property
    def authorization(self) -> str:
        return self.fields.get("authorization", "")


def read_request(stream: BufferedIOBase) -> Asked:
    method, path, _ = stream.readline().decode().split(" ")
    fields = {}
    while line := stream.readline().strip():
        name, _, value = line.decode().partition(":")
        fields[name.lower()] = value.strip()
    return Asked(method, path, fields, stream.read(int(fields.get("content-length", 0))))
