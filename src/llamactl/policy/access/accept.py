"""Does a client want a page or data? By its Accept header: RFC 9110, 12.5.1. Pure."""

from __future__ import annotations

from functools import lru_cache

_LOOKED_AT = 1000  # bytes; browsers send a hundred or two
_HTML, _JSON = ("text", "html"), ("application", "json")


def prefers_html(accept: bytes) -> bool:
    """Browsers do; clients that accept anything, or don't say, want JSON."""
    return _prefers_html(accept[:_LOOKED_AT])


@lru_cache(256)
def _prefers_html(accept: bytes) -> bool:
    ranges = [found for part in accept.decode("latin-1").split(",") if (found := _range(part))]
    return _quality(_HTML, ranges) > _quality(_JSON, ranges)


Range = tuple[str, str, float]  # type, subtype, quality


def _range(part: str) -> Range | None:
    """None if it is not a media range."""
    name, *parameters = part.split(";")
    kind, slash, subtype = name.strip().lower().partition("/")
    if not slash:
        return None
    quality = 1.0
    for parameter in parameters:
        key, _, value = parameter.strip().partition("=")
        if key.strip().lower() == "q":
            quality = _weight(value.strip())
    return kind, subtype, quality


def _weight(text: str) -> float:
    """An invalid weight counts as zero."""
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0


def _quality(wanted: tuple[str, str], ranges: list[Range]) -> float:
    """The most specific range counts."""
    kind, subtype = wanted
    for fits in ((kind, subtype), (kind, "*"), ("*", "*")):
        found = [quality for *at, quality in ranges if tuple(at) == fits]
        if found:
            return max(found)
    return 0.0
