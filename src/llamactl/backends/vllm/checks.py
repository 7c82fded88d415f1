"""What vLLM must be given, and must not, so that it can serve an instance."""

from __future__ import annotations

from llamactl.backends.contract import Start
from llamactl.backends.vllm.options import ELSEWHERE, OURS, QUESTIONS, extra_words
from llamactl.backends.vllm.reading import parse
from llamactl.core.errors import InvalidOption
from llamactl.policy.definition.engine_help import spelled

# What no instance may have is left out of a command line.
NOT_PASTED = {
    **ELSEWHERE,
    **dict.fromkeys(QUESTIONS, "the engine answers it and ends; run it by hand"),
}


def check_served(start: Start) -> None:
    """Raises InvalidOption."""
    for word in start.settings.args:
        flag = word.partition("=")[0]
        if flag.startswith("-") and spelled(flag) in {*OURS, *ELSEWHERE}:
            why = ELSEWHERE.get(spelled(flag), "llamactl sets it for each start")
            raise InvalidOption(f"backends.vllm.args can't contain {flag!r}: {why}; remove it")
    given = {**parse([*start.settings.args, *extra_words(start.options)]), **start.options}
    if not (given.get("model") or given.get("config") or start.override):
        raise InvalidOption(
            "the instance names no model; set 'model' to a folder, or to a repository of the hub",
            details={"missing": "model"},
        )
