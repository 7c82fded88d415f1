"""A command of llama-swap's, as an instance of the backend that can run it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from llamactl.backends import BACKENDS, LLAMA_CPP, Backend
from llamactl.backends.command import COMMAND
from llamactl.backends.command.paste import with_folder, with_port
from llamactl.backends.llama_cpp.images import is_llama_cpp
from llamactl.core.errors import InvalidRequest
from llamactl.migration.llama_swap_macros import PORT
from llamactl.policy.definition.command_line import (
    Parsed,
    is_engine,
    leave_unknown_out,
    names_engine,
)
from llamactl.policy.definition.engine_help import UNREAD, Vocabulary
from llamactl.policy.pasted import Pasted, read_pasted, without_open

_SOURCES = ("model", "model_url", "hf_repo", "hf_file", "docker_repo", "models_dir",
            "models_preset", "extra_args")  # fmt: skip
_HERE = ("", "localhost", "127.0.0.1", "0.0.0.0", "::1", "[::1]")
_PORT_WORD = f"${{{PORT}}}"


@dataclass(slots=True)
class Command:
    definition: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    note: str = ""  # what is different
    left_out: list[str] = field(default_factory=list)


def read_command(
    text: str, model: Mapping[str, Any], given: Mapping[str, str], environ: Mapping[str, str],
    engine: Vocabulary,
) -> Command:  # fmt: skip
    """`text`: without macros. `given`: the variables that the model sets.

    Raises InvalidRequest where nothing can be made of it.
    """
    programs = LLAMA_CPP.kind.programs
    found = read_pasted(
        _without_comments(text), partial(is_engine, programs=programs), placeholders=(PORT,),
        environ=environ, shell=False,
    )  # fmt: skip
    only_flags = all(word.startswith("-") for word in found.words[:1])  # its image has the program
    if names_engine(found.words, programs) or (only_flags and is_llama_cpp(found.image)):
        return _of_llama_cpp(found, given, engine)
    for backend in BACKENDS.values():
        if backend.runs(found):
            return _of_engine(backend, found)
    if found.image:
        raise InvalidRequest(
            f"it runs in the container {found.image}, and which port its program listens on is not "
            "known; create an instance of the backend command with container.image, and arguments "
            "that have it listen on 127.0.0.1:${PORT}"
        )
    return _of_any_program(found, model, given)


def _without_comments(text: str) -> str:
    """As llama-swap does: lines that begin with `#`, and the backslashes at their ends."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line.removesuffix("\\") for line in lines if not line.startswith("#"))


def _of_llama_cpp(found: Pasted, given: Mapping[str, str], engine: Vocabulary) -> Command:
    parsed = LLAMA_CPP.parse_pasted(replace(found, words=_without_port(found.words)), engine)
    if not parsed.command_override:  # whose own options are not known
        leave_unknown_out(parsed, engine)
    variables = [*found.environment, *given]
    if not any(map(parsed.options.get, _SOURCES)) and not _names_model(parsed.options, variables):
        _, unknown = without_open(found.words)
        raise InvalidRequest("; ".join(["its command names no model", *unknown]))
    return _in_its_container(LLAMA_CPP, found, parsed)


def _of_engine(backend: Backend, found: Pasted) -> Command:
    parsed = backend.parse_pasted(replace(found, words=_without_port(found.words)), UNREAD)
    if "model" not in parsed.options:
        raise InvalidRequest("its command names no model")
    return _in_its_container(backend, found, parsed)


def _in_its_container(backend: Backend, found: Pasted, parsed: Parsed) -> Command:
    """If it had one. Its paths are those of this machine, by which they are mounted."""
    definition: dict[str, Any] = {
        "backend_type": backend.name, "backend_options": parsed.options,
        "command_override": "" if found.image else parsed.command_override,
    }  # fmt: skip
    note, left_out = "", parsed.not_understood
    if found.image:
        container = {"image": found.image, "gpus": found.gpus, "mounts": [*_mounts(found)],
                     "args": found.container_options, "pull": "missing"}  # fmt: skip
        definition["container"] = {key: value for key, value in container.items() if value}
        note = f"in its container {found.image}, by Docker or Podman"
        kept = ("--gpus ", *(f"{one.replace('=', ' ')}:" for one in found.container_options))
        left_out = [one for one in left_out if not one.startswith(kept)]
    return Command(definition, parsed.environment, note, left_out)


def _mounts(found: Pasted) -> Iterator[str]:
    """Each folder by the path that it had in the container, and by its own, for what names it."""
    for inside, outside in found.volumes.items():
        if outside.startswith("/"):
            yield f"{outside}:{inside}:rw"
            if outside != inside:
                yield outside


def _names_model(options: Mapping[str, object], variables: Sequence[str]) -> bool:
    """By a preset such as `--gpt-oss-20b-default`, or by a variable."""
    return any(name.endswith("_default") for name in options) or any(
        name.startswith("LLAMA_ARG_") for name in variables
    )


def _without_port(words: list[str]) -> list[str]:
    """llama-swap names a port in every command; llamactl chooses it."""
    kept: list[str] = []
    for word in words:
        if word == _PORT_WORD and kept and kept[-1] == "--port":
            kept.pop()
        elif word != f"--port={_PORT_WORD}":
            kept.append(word)
    return kept


def _of_any_program(found: Pasted, model: Mapping[str, Any], given: Mapping[str, str]) -> Command:
    words, unknown = without_open(found.words)
    if not words or words[0].startswith("-"):
        raise InvalidRequest("its command names no program")
    if unknown:
        raise InvalidRequest("; ".join(unknown))
    program, said = with_folder(words[0], found.folder)
    options: dict[str, Any] = {"command": program, "args": with_port(words[1:])}
    texts = [*options["args"], *found.environment.values(), *given.values()]
    if not any(_PORT_WORD in text for text in texts):
        options["port"] = _port(model.get("proxy"))
    if (health := _health_path(model.get("checkEndpoint"))) is not None:
        options["health_path"] = health
    definition = {"backend_type": COMMAND.name, "backend_options": options}
    note = f"with the backend `{COMMAND.name}`"
    return Command(definition, dict(found.environment), note, [*found.left_out, *said])


def _port(proxy: object) -> int:
    """Where a program listens that isn't given its port. Raises InvalidRequest."""
    try:
        address = urlsplit(str(proxy or ""))
        host, port = address.hostname or "", address.port
    except ValueError:
        host, port = "", None
    if host not in _HERE:
        raise InvalidRequest(f"its `proxy` leads to another machine, {host}")
    if not port:
        raise InvalidRequest(
            "it is not an HTTP server that llamactl can start: neither its command nor its "
            "`proxy` says on which port it listens"
        )
    return port


def _health_path(given: object) -> str | None:
    if not isinstance(given, str) or not given.strip():
        return None
    path = given.strip()
    return path if path == "none" or path.startswith("/") else f"/{path}"
