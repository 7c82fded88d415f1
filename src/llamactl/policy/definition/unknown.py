"""Engine options that the engine does not have, by its own help."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from llamactl.core.errors import UnknownOption
from llamactl.core.instance import OptionValue
from llamactl.policy.definition.engine_help import Vocabulary, spelled
from llamactl.policy.definition.near import nearest

_MOST = 10
_ALWAYS = frozenset({"args", "extra_args", "port"})  # llamactl's own


def unknown(names: Collection[str], known: Vocabulary) -> list[str]:
    """Those that the engine does not have; none where it could not be asked."""
    if not known:
        return []
    return [
        name
        for name in names
        if name not in _ALWAYS and not known.named(name) and not known.named(f"no_{name}")
    ]


def near(names: Collection[str], known: Vocabulary, others: Collection[str] = ()) -> dict[str, str]:
    """The option of the engine that each may be meant for, or one of the others; or "".

    It takes milliseconds for each, so it is looked for only for the first ones.
    """
    spellings = [*others, *sorted({spelled(flag) for flag in known if flag.startswith("--")})]
    looked_for = {*[*names][:_MOST]}
    return {name: nearest(name, spellings) if name in looked_for else "" for name in names}


def refuse_unknown(
    given: Mapping[str, OptionValue | None], known: Vocabulary, had: Mapping[str, OptionValue],
    others: Collection[str] = (),
) -> None:  # fmt: skip
    """Raises UnknownOption. What is taken away, or was there before, is nobody's mistake."""
    names = [k for k, v in given.items() if v is not None and (k not in had or had[k] != v)]
    missing = unknown(names, known)
    if not missing:
        return
    found = near(missing[:_MOST], known, others)
    said = ", ".join(
        repr(name) + (f" (did you mean {meant}?)" if meant else "") for name, meant in found.items()
    )
    more = f" and {len(missing) - _MOST} more" if len(missing) > _MOST else ""
    what, it = ("option", "it") if len(missing) == 1 else ("options", "them")
    raise UnknownOption(
        f"unknown engine {what} {said}{more}; correct {it}, or pass {it} to the engine unchanged "
        "with allow_unknown=true (--allow-unknown) or extra_args",
        details={"unknown": found, "fields": [f"backend_options.{name}" for name in found]},
    )
