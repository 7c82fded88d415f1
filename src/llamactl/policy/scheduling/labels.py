"""Labels of nodes: what they may look like, and which ones an instance misses. Pure.

The rules are those of Kubernetes, so that labels can be taken over from there:
https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from llamactl.core.errors import InvalidRequest

Labels = Mapping[str, str]
MOST_LABELS = 64
_LONGEST_PREFIX, _LONGEST_NAME = 253, 63
_NAME = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_DNS = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_KEY = re.compile(rf"((?P<prefix>{_DNS}(\.{_DNS})*)/)?{_NAME}\Z", re.ASCII)
_VALUE = re.compile(rf"({_NAME})?\Z", re.ASCII)


def read_labels(where: str, given: object) -> dict[str, str]:
    """From a body or a file, where a number may be meant as text. Raises InvalidRequest."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"{where!r} must be an object of labels, such as {{'gpu': 'h200'}}")
    if len(given) > MOST_LABELS:
        raise InvalidRequest(f"{where!r} has more than {MOST_LABELS} labels")
    return dict(_checked(where, key, value) for key, value in given.items())


def labels_of(where: str, words: Iterable[str]) -> dict[str, str]:
    """From KEY=VALUE, as on a command line. Raises InvalidRequest."""
    found = dict[str, str]()
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise InvalidRequest(f"{word[:80]!r} is not a label; write {where} KEY=VALUE")
        if found.get(key, value) != value:
            raise InvalidRequest(f"{where} gives two values for the label {key[:80]!r}")
        found[key] = value
    return read_labels(where, found)


def _checked(where: str, key: object, value: object) -> tuple[str, str]:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(key, str) or not _is_key(key):
        raise InvalidRequest(
            f"{where!r} has an invalid key {str(key)[:80]!r}: use at most 63 letters, digits, "
            "'-', '_' or '.', with a letter or digit first and last; a DNS name and '/' may "
            "precede it"
        )
    if not isinstance(value, str) or not _VALUE.match(value):
        raise InvalidRequest(
            f"{where!r} has an invalid value for {key!r}: {str(value)[:80]!r}; use a text of at "
            "most 63 letters, digits, '-', '_' or '.', with a letter or digit first and last"
        )
    return key, value


def _is_key(key: str) -> bool:
    if len(key) > _LONGEST_PREFIX + len("/") + _LONGEST_NAME:
        return False
    found = _KEY.match(key)
    return found is not None and len(found["prefix"] or "") <= _LONGEST_PREFIX


def unmet(has: Labels, needs: Labels) -> str:
    """What keeps an instance with these needs from a node with these labels; "" if nothing does."""
    wrong = [key for key, value in sorted(needs.items()) if has.get(key) != value]
    if not wrong:
        return ""
    found = " and ".join(f"{key}={has[key]}" if key in has else f"no label {key}" for key in wrong)
    return f"has {found}, needs {' and '.join(f'{key}={needs[key]}' for key in wrong)}"
