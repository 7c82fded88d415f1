"""What is changed in a request's JSON before its engine sees it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True, eq=False)
class Filters:
    """Only top-level members. First some are taken out, then others put in."""

    strip: frozenset[str] = frozenset()
    defaults: Mapping[str, str] = field(default_factory=dict)  # JSON, where there is none
    fixed: Mapping[str, str] = field(default_factory=dict)  # JSON, whatever there is
    # for names above: other names that engines take for the same parameter
    synonyms: Mapping[str, frozenset[str]] = field(default_factory=dict)
    models: frozenset[bytes] = frozenset()  # JSON of a `model` that stays as it is
    names: frozenset[str] = field(init=False)  # of all members that are looked for

    def __post_init__(self) -> None:
        others = frozenset[str]().union(*self.synonyms.values())
        names = {"model", *self.strip, *self.defaults, *self.fixed, *others}
        object.__setattr__(self, "names", frozenset(names))

    def naming(self, model: str, others: Iterable[str] = ()) -> Filters:
        """The same, with this as the `model`, unless it is one of the others."""
        fixed = {**self.fixed, "model": json.dumps(model)}
        kept = frozenset(json.dumps(other, ensure_ascii=False).encode() for other in others)
        return replace(self, strip=self.strip - {"model"}, fixed=fixed, models=kept)

    def without(self, names: frozenset[str]) -> Filters:
        """The same, with these taken out as well."""
        return replace(self, strip=self.strip | names)
