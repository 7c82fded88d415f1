"""Which fields of a definition choose a program, and which name a file.

An option is known by the words of its name. One that nobody thought of counts as naming a file
as soon as its value could be a path, so that what an engine learns tomorrow is bound today.
Nothing here looks at a file: `models/confinement.py` does.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from llamactl.core.instance import Container, InstanceOptions, OptionValue
from llamactl.core.secrets.names import names_secret

# Options whose value may hold a slash without being a path.
TEXTS = frozenset(
    {
        "alias", "antiprompt", "api_prefix", "chat_template", "chat_template_kwargs",
        "chunk_separator", "cls_sep", "control_vector_layer_end", "control_vector_layer_range",
        "control_vector_layer_start", "cors_headers", "cors_methods", "cors_origins",
        "default_template_kwargs", "dry_sequence_breaker", "embd_sep", "generation_prompt",
        "grammar", "health_path", "hf_token", "input_prefix", "input_suffix", "json_schema",
        "logit_bias", "model_alias", "model_tags", "override_kv", "override_tensor",
        "override_tensor_draft", "prompt", "reasoning_budget_end", "reasoning_budget_forced",
        "reasoning_budget_message", "reasoning_budget_start", "reverse_prompt", "served_model",
        "served_model_name", "spec_draft_override_tensor", "system_prompt", "tags",
        "tensor_buft_overrides", "ui_config", "ui_config_json", "webui_config",
    }
)  # fmt: skip
# Flags that do not say in words what they are.
_SHORT: Mapping[str, str] = {
    "a": "alias", "ag": "agent", "dr": "docker_repo", "hf": "hf_repo", "hfd": "hf_repo_draft",
    "hff": "hf_file", "hfr": "hf_repo", "hfrd": "hf_repo_draft", "hft": "hf_token",
    "j": "json_schema", "jf": "json_schema_file", "l": "logit_bias",
    "lcd": "lookup_cache_dynamic", "lcs": "lookup_cache_static", "m": "model",
    "md": "model_draft", "mm": "mmproj", "mmu": "mmproj_url", "mu": "model_url",
    "ot": "override_tensor", "otd": "override_tensor_draft", "r": "reverse_prompt",
}  # fmt: skip
_PROGRAM = frozenset(
    {"agent", "bin", "binary", "cmd", "command", "exec", "executable", "mcp", "middleware",
     "plugin", "plugins", "program", "shell", "tools"}
)  # fmt: skip
# Of programs other than llama-server: what vLLM loads, a container's, and bare arguments, which
# choose what an interpreter runs.
_CODE = re.compile(r"trust_remote_code|logits_processors|\w+_cls|docker_(?!repo)\w+|args")
_FILE = frozenset(
    {"cert", "dir", "directory", "dirs", "file", "files", "fname", "folder", "lora", "mmproj",
     "model", "path", "preset", "lookup", "vector"}
)  # fmt: skip
_FILE_NAMES = frozenset({"image", "mcp_servers_config"})
# Flags without a value, whose names contain a word for a file.
_SWITCHES = frozenset(
    {"lora_init_without_apply", "mmproj_auto", "mmproj_offload", "mmproj_use_gpu"}
)  # fmt: skip
_SEVERAL = frozenset({"lora", "vector"})  # the words of options that take a list
_FETCHED = re.compile(r"(\w+_)?(url|docker_repo)|(\w+_)?hf(_\w+)?|[\w.]+_(default|spec)")
_NO_MODEL = frozenset({"spec_default"})
_WORDS = ("extra_args", "args")
_OFF = (False, None, "", "0", "off", "false", "disabled", "none")
_NEGATIVE = re.compile(r"-\.?\d")
_OPTION_VARIABLE = re.compile(r"LLAMA_ARG_", re.IGNORECASE)

# What a loader, an interpreter or a driver takes code from.
_PROGRAM_VARIABLE = re.compile(
    r"(_?JAVA|BASH|CONDA|DYLD_|GCONV|GGML_BACKEND|GLIBC_|LD_|MALLOC_|NODE_|OCL_|OPENSSL_|PERL|PYTHON|RUBY|"
    r"SHELL|VIRTUAL_ENV|VK_|XDG_)|(ENV|IFS|LOCPATH|LIBPATH|NLSPATH|PS4|ZDOTDIR)\Z"
)
_PROGRAM_WORDS = frozenset(
    {"BIN", "BROWSER", "CC", "CMD", "COMMAND", "COMPILER", "CONF", "CXX", "DRIVERS", "EDITOR",
     "EXEC", "EXECUTABLE", "HOME", "HOOK", "HOOKS", "ICD", "INJECTION", "INJECTION32",
     "INJECTION64", "LIB", "LIBRARIES", "LIBRARY", "LIBS", "MIDDLEWARE", "NVCC", "OPT", "OPTIONS",
     "OPTS", "PAGER", "PATH", "PLUGIN", "PLUGINS", "PRELOAD", "PROGRAM", "RC", "STARTUP", "TOOL",
     "TOOLS"}
)  # fmt: skip
_FILE_WORDS = frozenset({"CACHE", "DIR", "FILE", "FILES", "FOLDER"})
_PATH_LIKE = re.compile(r"/|~|\.{1,2}(/|\Z)|file:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NamedFile:
    field: str  # as people gave it
    option: str  # its name, whichever of its flags was used; "" of a variable
    path: str


@dataclass(frozen=True, slots=True)
class _Given:
    field: str
    option: str
    values: tuple[str, ...]
    on: bool


@dataclass(frozen=True, slots=True)
class Meanings:
    """Options of one engine that are not what their names say."""

    programs: Collection[str] = ()  # they make it load or run code
    paths: Collection[str] = ()
    named_paths: Collection[str] = ()  # NAME=PATH
    plain: Collection[str] = ()  # neither

    def is_program(self, option: str) -> bool:
        known = option.partition(".")[0] in self.programs
        return known or (option not in self.plain and _runs_code(option))


AS_NAMED = Meanings()


def programs(options: InstanceOptions, meanings: Meanings = AS_NAMED) -> list[str]:
    """The fields that choose a program, or make the engine load or run code."""
    found = ["command_override"] if options.command_override else []
    if options.container is not None:  # who starts one has the machine
        found += [f"container.{name}" for name in options.container.given] or ["container"]
    found += [f"environment.{name}" for name in options.environment if _is_program(name)]
    found += [
        one.field for one in _given(options)
        if one.on and meanings.is_program(one.option)
    ]  # fmt: skip
    return list(dict.fromkeys(found))


def fetched(options: InstanceOptions) -> list[str]:
    """The fields by which the engine itself would fetch a model, to a place of its own.

    A repository that llamactl replaces by the downloaded file is none of them.
    """
    ours = ("hf_repo", "hf_file") if _is_resolved(options.backend_options) else ()
    found = [one.field for one in _given(options) if one.on and one.field not in ours
             and _is_fetched(one.option)]  # fmt: skip
    return list(dict.fromkeys(found))


def files(options: InstanceOptions, meanings: Meanings = AS_NAMED) -> list[NamedFile]:
    """All paths that the definition names; more than one of a value that may be read in two ways.

    An empty path means a flag without its value.
    """
    found = [
        NamedFile(one.field, one.option, path)
        for one in _given(options)
        if not _is_fetched(one.option)
        for path in _paths(one, meanings)
    ]
    for name, value in options.environment.items():
        if not _OPTION_VARIABLE.match(name) and not _is_program(name):
            found += [NamedFile(f"environment.{name}", "", p) for p in _variable_paths(name, value)]
    if options.container is not None:
        found += _of_container(options.container)
    return found


def _of_container(container: Container) -> Iterator[NamedFile]:
    for text in container.mounts:
        yield NamedFile("container.mounts", "", text.partition(":")[0])
    for word in container.args:  # any of them may mount, or name a file
        for part in re.split(r"[,=:]", word):
            if _PATH_LIKE.match(part):
                yield NamedFile("container.args", "", part)
    for name, value in container.env.items():
        for path in _variable_paths(name, value):
            yield NamedFile(f"container.env.{name}", "", path)


def _is_resolved(given: Mapping[str, OptionValue]) -> bool:
    return isinstance(given.get("hf_repo"), str) and "model" not in given


def _given(options: InstanceOptions) -> Iterator[_Given]:
    """Every engine option of a definition: by name, in further arguments, as a variable."""
    for key, value in options.backend_options.items():
        if key == "args" and value:
            yield _Given(key, key, (), on=True)
        if key in _WORDS and not isinstance(value, str | int | float):
            yield from _of_words(key, [str(word) for word in value])
        else:
            yield _Given(key, _option(key), _strings(value), value not in _OFF and value != [])
    for name, text in options.environment.items():
        if _OPTION_VARIABLE.match(name):
            on = text.lower() not in _OFF
            yield _Given(f"environment.{name}", _option(name), (text,) if text else (), on)


def _of_words(key: str, words: Sequence[str]) -> Iterator[_Given]:
    """Each flag with the words up to the next one."""
    flag, values = "", list[str]()
    for word in [*words, "--"]:
        if word.startswith("-") and not _NEGATIVE.match(word):
            if flag or values:
                yield _flag(key, flag, values)
            flag, equals, value = word.partition("=")
            values = [value] if equals else []
        else:
            values.append(word)


def _flag(key: str, flag: str, values: Sequence[str]) -> _Given:
    option = _option(flag)
    on = not option.startswith("no_") and (not values or any(v.lower() not in _OFF for v in values))
    given = tuple(values)
    if "/" in flag:  # a value that looks like a flag
        given = (*given, flag)
    elif not values and _names_file(option) and not option.startswith("no_"):
        given = ("",)  # what follows looks like a flag, and may be taken for its value
    return _Given(f"{key} {flag.partition('/')[0]}".strip(), option, given, on)


def _option(name: str) -> str:
    name = name.lstrip("-").replace("-", "_")
    name = _OPTION_VARIABLE.sub("", name, count=1).lower() if len(name) > 1 else name
    return _SHORT.get(name, name)


def _strings(value: OptionValue) -> tuple[str, ...]:
    given = [value] if isinstance(value, str | int | float) else value
    return tuple(str(one) for one in given if one != "" and not isinstance(one, bool))


def _runs_code(option: str) -> bool:
    return not _PROGRAM.isdisjoint(option.split("_")) or bool(_CODE.fullmatch(option))


def _is_fetched(option: str) -> bool:
    text = option in TEXTS or option in _NO_MODEL
    return not text and _FETCHED.fullmatch(option) is not None


def _names_file(option: str) -> bool:
    words = option.split("_")
    return option not in TEXTS | _SWITCHES and (
        option in _FILE_NAMES or not _FILE.isdisjoint(words)
    )


def _paths(given: _Given, meanings: Meanings) -> Iterator[str]:
    if given.option in meanings.named_paths:
        yield from (value.partition("=")[2] or value for value in given.values)
        return
    is_path = given.option in meanings.paths
    if not is_path and (given.option in meanings.plain or given.option in TEXTS):
        return
    named = is_path or _names_file(given.option)
    for value in given.values:
        if named and _SEVERAL.isdisjoint(given.option.split("_")):
            yield value
            continue
        for part in value.split(","):
            if named or "/" in part or _PATH_LIKE.match(part):
                yield part
                if ":" in part:  # a path and its scale
                    yield part.rpartition(":")[0]


def _is_program(variable: str) -> bool:
    if _OPTION_VARIABLE.match(variable):
        return False
    name = variable.upper()
    words = name.split("_")
    return bool(_PROGRAM_VARIABLE.match(name)) or not _PROGRAM_WORDS.isdisjoint(words)


def _variable_paths(name: str, value: str) -> Iterator[str]:
    named = not _FILE_WORDS.isdisjoint(name.upper().split("_"))
    if not value or (names_secret(name) and not named):  # which may begin with a slash
        return
    if _PATH_LIKE.match(value):
        yield from (value,) if value.lower().startswith("file:") else value.split(":")
    elif named and "://" not in value:
        yield value
