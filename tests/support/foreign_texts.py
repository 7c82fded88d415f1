"""Command lines and configuration files that nobody thought of, and how they are read."""

from __future__ import annotations

from functools import cache
from typing import Any

import hypothesis.strategies as st

from llamactl.backends import BACKENDS
from llamactl.core.errors import LlamactlError
from llamactl.migration import Migrated, from_go_llamactl, from_llama_swap
from llamactl.migration.source import read_yaml
from llamactl.policy.definition.engine_help import UNREAD, Vocabulary, read_help

_HELP = """\
-c,    --ctx-size N                     size (default: 0)
-m,    --model FNAME                    model path to load
--mmap, --no-mmap                       whether to memory-map model (default: enabled)
-fa,   --flash-attn [on|off|auto]       attention (default: 'auto')
"""
_WORDS = st.sampled_from(
    ["llama-server", "/opt/x/llama-server", "llama", "serve", "-m", "/m/a.gguf", "-c", "4096",
     "-fa",
     "on", "--no-mmap", "--model=~/x", "--port", "8080", "nice", "-n", "10", "taskset", "-c0",
     "sudo",
     "-u", "env", "A=b", "bash", "-c", "'a b'", '"', "'", "\\", "\\\n", "$HOME", "$(pwd)",
     "${X:-y}",
     "${", "$(", "`", "#", "&&", ";", "|", "&", ">", "2>&1", "<x>", "\n", "docker", "run",
     "container",
     "-v/a:/b", "-v", "x:y", "-e", "NAME", "--mount", "type=bind,src=/a,dst=/b", "--entrypoint",
     "img",
     "[Service]\nExecStart=", "Environment=", "%h", "cd", "/srv", "export", "tmux", "--", "-", "=",
     "~",
     "\ue000", "\0", "(", ")", "python", "vllm", "C:\\x", ".exe", "PS C:\\> ", "^\n",
     "A=(", ")", "A+=(b)", "${A[@]}", "$A", "A='b c'", "${A:?x}", "$@", "\\ # x\n", "{", "}",
     "f()", "alias a='", "```\n", "\u2013m", "\u201cx\u201d", "$env:A=", "set A=b\n", "%A%", "/m/*",
     "[Container]\n", "Image=img\n", "Exec=", "[program:a]\ncommand=", "services:\n", " a:\n",
     "  image: b\n", "  command: ", "  volumes: [/a:/b]\n", "flatpak", "uv", "conda", "eval", "if",
     "then", "done", "--listen", ":80", "PORT=1", "--lora-scaled", "0.5"]
)  # fmt: skip
COMMANDS = st.lists(_WORDS | st.text(max_size=4), max_size=24).flatmap(
    lambda words: st.sampled_from([" ", "", "\n"]).map(lambda between: between.join(words))
)
_KEYS = st.sampled_from(
    ["models", "macros", "a", "b", "A", "cmd", "ttl", "env", "aliases", "filters", "setParams",
     "setParamsByID", "stripParams", "useModelName", "proxy", "checkEndpoint", "hooks",
     "on_startup",
     "preload", "globalTTL", "startPort", "healthCheckTimeout", "logLevel", "apiKeys", "groups",
     "metadata", "data_dir", "auth", "management_keys", "instances", "port_range"]
)  # fmt: skip
_SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.dates()
    | st.binary(max_size=3)
    | st.sampled_from(["llama-server -m x", "llama-server --port ${PORT} -m ${a}", "${b}${b}",
    "A=1",
                       "serve ${PORT}", "http://h:99999", "http://127.0.0.1:9000", "-1", "nan"])
)  # fmt: skip
_ANY = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(_KEYS | st.integers(0, 2), inner, max_size=5)
    ),
    max_leaves=12,
)
MODELS = st.dictionaries(_KEYS, _ANY, max_size=6).flatmap(
    lambda rest: _SCALARS.map(lambda cmd: {**rest, "cmd": cmd})
)
TREES = _ANY | st.dictionaries(_KEYS | st.text(max_size=3), MODELS, max_size=4).flatmap(
    lambda models: st.dictionaries(_KEYS, _ANY, max_size=5).map(
        lambda top: {**top, "models": models}
    )
)
_LINES = st.sampled_from(
    ["models:", "  a:", "    cmd: llama-server -m x", "    ttl: 0", "  a: {cmd: x}", "  &x y: *x",
     "- 1", "<<: *x", "? [a]", ": 1", "  !!binary x", "  !!python/object:os.system {}",
     "a: &a [*a]",
     "x: 2026-02-31", "y: 1e999", "z: 0x", "{", "}", "|", "\t", "---", "...", "%YAML 9"]
)  # fmt: skip
FILES = st.lists(_LINES | st.text(max_size=6), max_size=10).map("\n".join)


@cache
def known() -> Vocabulary:
    return Vocabulary(read_help(_HELP))


def check_command(text: str) -> None:
    """Raises whatever is no refusal, or no sane result."""
    for backend in BACKENDS.values():
        for options in (known(), UNREAD):
            try:
                found = backend.parse_command(text, options)
            except LlamactlError as refused:
                assert refused.message
            else:
                environment = [*found.environment, *found.environment.values()]
                said = [*found.options, *environment, found.command_override]
                assert not any("\ue000" in one for one in [*said, *found.not_understood])


def _as_llama_swap(tree: object) -> Migrated:
    return from_llama_swap(tree, {})


def _as_go_llamactl(tree: object) -> Migrated:
    return from_go_llamactl(None, tree)


def check_tree(tree: Any) -> None:
    for read in (_as_llama_swap, _as_go_llamactl):
        try:
            found = read(tree)
        except LlamactlError as refused:
            assert refused.message
        else:
            assert all(row.note for row in found.rows if row.outcome != "carried")


def check_file(text: str) -> None:
    try:
        tree = read_yaml(text)
    except LlamactlError as refused:
        assert refused.message
    else:
        check_tree(tree)
