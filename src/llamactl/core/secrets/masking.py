"""Which values are secret, how they are masked, and how a returned mask finds its value.

A secret is known by the name of its field, flag, header, variable or query parameter, or by its
place in a URL. One walk finds all secrets of a value; to mask, to collect and to restore are that
walk with different things done to what it finds. Over-masking costs little, since a mask is taken
back; a secret that is missed is out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llamactl.core.errors import InvalidRequest
from llamactl.core.secrets.names import (
    ENVIRONMENTS,
    HEADERS,
    MASK,
    PLAIN_HEADERS,
    QUERY,
    SCHEMAS,
    SHORT_FLAGS,
    bare_flag,
    hides_next,
    names_secret,
)
from llamactl.core.secrets.spans import spans_of

Label = tuple[str, ...]  # where a secret was found, without places in lists


def masked(value: Any) -> Any:
    """The same, with a mask for each secret."""
    return _walk(value, (), lambda _, __, mask: mask)


def masked_text(text: str) -> str:
    """Of a message or a command line."""
    shown: str = masked(text)
    return shown


def unmasked(shown: Any, stored: Any) -> Any:
    """The same, with what is stored for each mask that came back.

    Raises InvalidRequest for a mask that matches no value, or several.
    """
    known, given = _collected(stored), _collected(shown)
    holes = {label: sum(map(_is_mask, found)) for label, found in given.items()}
    alike = {label for label, found in known.items() if len(set(found)) == 1}
    seen, masks = Counter[Label](), Counter[Label]()

    def put_back(label: Label, text: Any, mask: str) -> Any:
        at, nth = seen[label], masks[label]
        seen[label] += 1
        if text != mask:
            return text
        masks[label] += 1
        found = known.get(label, [])
        if len(found) == len(given[label]):
            return found[at]
        if label in alike:
            return found[0]
        if len(found) == holes[label]:
            return found[nth]
        where = " ".join(word for word in label if word)
        if not found:
            raise InvalidRequest(
                f"{MASK} in {where} matches no stored value; write the value itself"
            )
        raise InvalidRequest(
            f"{MASK} in {where} matches several stored values; write the value itself"
        )

    return _walk(shown, (), put_back)


def _is_mask(text: Any) -> bool:
    return text in (MASK, f'"{MASK}"')


def secrets_of(value: Any, shortest: int = 4) -> frozenset[str]:
    """Those texts that are secret by their own names, to look for them elsewhere."""
    return frozenset(
        text
        for label, found in _collected(value).items()
        for text in map(str, found)
        if len(text) >= shortest and text != MASK and _is_named(label)
    )


def scrubbed(text: str, secrets: frozenset[str]) -> str:
    """Without these secrets, wherever they stand, and without what looks like one."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return masked_text(text)


def _is_named(label: Label) -> bool:
    """Variables and headers are masked for caution; few of them are secrets."""
    telling = QUERY | SHORT_FLAGS | {"user"}
    return any(names_secret(word) or word in telling for word in label)


def _collected(value: Any) -> dict[Label, list[Any]]:
    found: dict[Label, list[Any]] = defaultdict(list)

    def keep(label: Label, text: Any, _: str) -> Any:
        found[label].append(text)
        return text

    _walk(value, (), keep)
    return found


# The walk.

_Visit = Callable[[Label, Any, str], Any]  # its label, the secret, its mask; what to put there


def _walk(value: Any, label: Label, visit: _Visit, *, secret: bool = False) -> Any:
    match value:
        case Mapping():
            return {
                key: _walk(
                    item, (*label, str(key)), visit, secret=secret or _holds_secret(label, str(key))
                )
                for key, item in value.items()
            }
        case bool() | None | "":
            return value
        case str() | int() | float() if secret:
            return visit(label, value, MASK)
        case str():
            return _in_text(value, label, visit)
        case list() | tuple():
            return _in_list(value, label, visit, secret=secret)
        case _:
            return value


def _holds_secret(label: Label, name: str) -> bool:
    parent = label[-1] if label else ""
    if parent in SCHEMAS:
        return False
    if parent in ENVIRONMENTS:
        return True
    if parent in HEADERS:
        return name.lower() not in PLAIN_HEADERS
    return names_secret(name)


def _in_list(value: Sequence[Any], label: Label, visit: _Visit, *, secret: bool) -> list[Any]:
    """A flag determines the meaning of the next word."""
    found, flag = [], ""
    for item in value:
        is_text = isinstance(item, str)
        hides = hides_next(flag, str(item))
        found.append(
            _in_text(item, label, visit, flag=flag)
            if is_text and not (hides or secret)
            else _walk(
                item, (*label, bare_flag(flag)) if hides else label, visit, secret=secret or hides
            )
        )
        flag = item if is_text and item.startswith("-") and "=" not in item else ""
    return found


def _in_text(text: str, label: Label, visit: _Visit, *, flag: str = "") -> str:
    parts, done = [], 0
    for span in spans_of(text, flag):
        secret = text[span.start : span.end]
        parts += [text[done : span.start], str(visit((*label, span.name), secret, span.mask))]
        done = span.end
    return "".join([*parts, text[done:]]) if done else text


__all__ = ["MASK", "masked", "masked_text", "names_secret", "scrubbed", "secrets_of", "unmasked"]
