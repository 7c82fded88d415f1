"""llama-server's slots, saved and restored: README, `POST /slots/{id_slot}?action=save`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from llamactl.backends.contexts import ContextRefused, ContextSlots, Post, Slot
from llamactl.backends.contract import Get, Options, Start
from llamactl.backends.shared.answers import object_of, parsed
from llamactl.backends.shared.truths import truth_of
from llamactl.policy.definition.engine_help import Vocabulary

_SAVE, _IDLE, _DISK = "--slot-save-path", "--no-cache-idle-slots", "--cache-disk"
_HIDDEN = frozenset({"--no-slots", "--cache-idle-slots", "--no-cache-prompt", _SAVE})
# What the numbers in a file depend on. A chat template or a sampler only changes what is asked.
_NUMBERS = (
    "cache_type_k", "cache_type_v", "flash_attn", "swa_full", "kv_unified", "lora_scaled",
    "override_kv", "rope_freq_base", "rope_freq_scale", "rope_scale", "rope_scaling",
    "yarn_attn_factor", "yarn_beta_fast", "yarn_beta_slow", "yarn_ext_factor", "yarn_orig_ctx",
    "extra_args",
)  # fmt: skip
_FILES = ("model", "mmproj", "lora", "lora_scaled", "control_vector", "control_vector_scaled")
_WITHOUT_TEXT = ("embedding", "embeddings", "reranking")
_SEVERAL = ("models_dir", "models_preset", "router")
_OK = 200
_COUNTER = re.compile(
    r"^llamacpp:prompt_(tokens|seconds)_total ([\d.]+(?:e[+-]?\d+)?)$", re.MULTILINE
)
_ENOUGH = 64  # tokens: the time of fewer says little


class LlamaCppContexts(ContextSlots):
    def excluded(self, start: Start) -> str:
        return next(filter(None, chain(_of_kind(start), _of_options(start))), "")

    def missing(self, known: Vocabulary) -> str:
        if not known:
            return "the engine's help can't be read, so nobody knows whether it can save contexts"
        if known.get(_SAVE) is None:
            return f"this engine has no {_SAVE}; use a newer one"
        if known.get(_DISK) is not None:
            return f"this engine keeps contexts by itself; see its {_DISK}"
        return ""

    def words(self, folder: str, known: Vocabulary) -> Sequence[str]:
        # some versions put the name of a file right behind it
        return [_SAVE, f"{folder}/", *([_IDLE] if known.get(_IDLE) is not None else [])]

    def depends_on(self, options: Options) -> Mapping[str, str]:
        return {name: json.dumps(options[name]) for name in _NUMBERS if name in options}

    def files(self, options: Options) -> Mapping[str, Sequence[str]]:
        return {name: _paths(options[name]) for name in _FILES if name in options}

    def build(self, get: Get) -> str:
        return str(object_of(get("/props")).get("build_info", ""))

    def does_without(self, request: Mapping[str, object]) -> bool:
        """Beside a plain no: by another slot than the one that fits, or with its own adapters."""
        slot = request.get("id_slot", -1)
        chosen = isinstance(slot, int) and slot >= 0
        return request.get("cache_prompt") is False or chosen or bool(request.get("lora"))

    def prompt_speed(self, get: Get) -> float:
        found = dict(_COUNTER.findall(get("/metrics")))
        tokens, seconds = float(found.get("tokens", 0)), float(found.get("seconds", 0))
        return tokens / seconds if tokens >= _ENOUGH and seconds else 0.0

    def slots(self, get: Get) -> Sequence[Slot]:
        try:
            return [
                Slot(
                    int(row["id"]), int(row.get("n_prompt_tokens", 0)), int(row.get("n_ctx", 0)),
                    is_busy=bool(row.get("is_processing")),
                )
                for row in parsed(get("/slots"))
            ]  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError):
            return []

    def save(self, post: Post, slot: int, file: str) -> int:
        return _done(post, slot, "save", file, "n_saved")

    def restore(self, post: Post, slot: int, file: str) -> int:
        return _done(post, slot, "restore", file, "n_restored")


def _of_options(start: Start) -> Iterator[str]:
    options = start.options
    if "slot_save_path" in options:
        yield "slot_save_path is set, so its slots are yours to save; remove it"
    if truth_of(options.get("slots")) is False:
        yield "slots is off, so it does not show what they hold; turn it on"
    if truth_of(options.get("cache_prompt")) is False:
        yield "cache_prompt is off, so it reuses no prompts; turn it on"
    if truth_of(options.get("cache_idle_slots", False)) is not False:
        yield "cache_idle_slots is on, which empties idle slots; turn it off"
    words = {*start.settings.args, *_words(options.get("extra_args"))}
    for flag in sorted(words & _HIDDEN):
        yield f"{flag} is given; remove it"


def serves_several(start: Start) -> str:
    """That it does, if it does: then none of its processes is the engine of one model."""
    found = start.preset or any(name in start.options for name in _SEVERAL)
    return "it serves several models, each by a process of its own" if found else ""


def _of_kind(start: Start) -> Iterator[str]:
    options = start.options
    yield serves_several(start)
    if any(truth_of(options.get(name, False)) is not False for name in _WITHOUT_TEXT):
        yield "it has no conversations to keep"
    if start.container is not None:
        yield "it runs in a container, where llamactl has no folder for contexts"


def _done(post: Post, slot: int, action: str, file: str, member: str) -> int:
    body = json.dumps({"filename": file}).encode()
    status, text = post(f"/slots/{slot}?action={action}", body)
    answer = object_of(text)
    if status != _OK:
        error = answer.get("error")
        said = error.get("message") if isinstance(error, Mapping) else None
        raise ContextRefused(str(said or text)[:300])
    count = answer.get(member)
    if not isinstance(count, int):
        raise ContextRefused(f"it does not say how many tokens: {text[:200]}")
    return count


def _words(given: object) -> Sequence[str]:
    if isinstance(given, str):
        return given.split()
    return [str(word) for word in given] if isinstance(given, Sequence) else []


def _paths(given: object) -> Sequence[str]:
    """`lora_scaled` has a number after each; a list of them is separated by commas."""
    texts = [given] if isinstance(given, str) else _words(given)
    parts = [part for text in texts for part in text.split(",")]
    return [part if part.startswith("/") else part.rpartition(":")[0] or part for part in parts]


CONTEXTS = LlamaCppContexts()
