"""Why contexts can't be kept: by the definition, the kind of engine, and what it can do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llamactl.backends import BACKENDS, LLAMA_CPP
from llamactl.backends.contexts import sort_of, why_not_kept
from llamactl.backends.contract import Start
from llamactl.config import Settings
from llamactl.core.instance import InstanceOptions
from llamactl.core.ports.node import EngineSettings
from llamactl.policy.context_reuse import UNUSED
from llamactl.policy.definition.engine_help import UNREAD, EngineOption, Vocabulary

SAVES = ("--slot-save-path", "--no-cache-idle-slots")


def vocabulary(*flags: str) -> Vocabulary:
    return Vocabulary(
        [EngineOption(flag.strip("-"), (flag,), "path", (), "", "", "") for flag in flags]
    )


def start(**options: Any) -> Start:
    given = InstanceOptions(backend_options={"model": "/m.gguf", **options})
    engine: EngineSettings = Settings().engine_of(given)
    return Start.of(given, engine)


@pytest.mark.parametrize(
    ("flags", "options", "why"),
    [
        (SAVES, {}, ""),
        (SAVES[:1], {}, ""),
        (SAVES[1:], {}, "this engine has no --slot-save-path"),
        ((), {}, "the engine's help can't be read"),
        ((*SAVES, "--cache-disk"), {}, "keeps contexts by itself"),
        (SAVES, {"slot_save_path": "/mine"}, "slot_save_path is set"),
        (SAVES, {"slots": False}, "slots is off"),
        (SAVES, {"cache_prompt": False}, "cache_prompt is off"),
        (SAVES, {"cache_idle_slots": True}, "cache_idle_slots is on"),
        (SAVES, {"extra_args": ["--no-slots"]}, "--no-slots is given"),
        (SAVES, {"embeddings": True}, "no conversations to keep"),
        (SAVES, {"models_dir": "/models"}, "several models"),
        # what the definition says counts for an engine that can't be asked, too
        ((), {"slot_save_path": "/mine"}, "slot_save_path is set"),
    ],
)
def test_an_obstacle_names_what_is_in_the_way(
    flags: tuple[str, ...], options: dict[str, Any], why: str
) -> None:
    known = vocabulary(*flags)
    found = why_not_kept(LLAMA_CPP, start(**options), known, (), insists=False)

    assert why in found and bool(found) is bool(why)
    assert LLAMA_CPP.contexts is not None
    assert LLAMA_CPP.contexts.obstacle(replace(start(**options), known=known)) == found


def test_of_an_engine_that_nobody_has_asked_only_the_definition_counts() -> None:
    assert why_not_kept(LLAMA_CPP, start(), None, (), insists=True) == ""
    found = why_not_kept(LLAMA_CPP, start(cache_prompt=False), None, (), insists=False)
    assert found == "cache_prompt is off, so it reuses no prompts; turn it on"


def test_an_engine_that_never_keeps_contexts_says_so_only_to_who_insists() -> None:
    others = [backend for backend in BACKENDS.values() if backend.contexts is None]
    assert others
    for backend in others:
        assert why_not_kept(backend, start(), UNREAD, (), insists=False) == ""
        found = why_not_kept(backend, start(), UNREAD, (), insists=True)
        assert found == f"{backend.kind.title} can't save contexts"


def test_an_engine_that_did_not_use_its_contexts_is_known_by_what_decides_that() -> None:
    contexts, known = LLAMA_CPP.contexts, vocabulary(*SAVES)
    assert contexts is not None
    unused = {sort_of(contexts, {"model": "/m.gguf", "temp": 0.5}, "")}

    for options, why in (
        ({"model": "/m.gguf"}, UNUSED), ({"model": "/m.gguf", "swa_full": True}, ""),
        ({"model": "/other.gguf"}, ""),
    ):  # fmt: skip
        one = start(**options)
        assert why_not_kept(LLAMA_CPP, one, known, unused, insists=False) == why
        assert why_not_kept(LLAMA_CPP, one, known, unused, insists=True) == ""
        other = replace(one, override="/another")
        assert why_not_kept(LLAMA_CPP, other, known, unused, insists=False) == ""
