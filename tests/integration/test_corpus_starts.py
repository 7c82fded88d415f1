"""What the corpus comes to starts on the real engine, and answers.

A tiny model takes the place of each model, an adapter of its own that of each adapter, the engine
that of each build of its own, and a small HTTP server that of each other program.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from llamactl.backends import LLAMA_CPP
from llamactl.backends.llama_cpp.options import FOLDERS, PATHS
from llamactl.core.errors import LlamactlError
from llamactl.policy.definition.engine_help import Vocabulary
from support.corpus import COMMANDS, IMPORTS, expected, imported, name_of
from support.engines import BUILT_IN, LLAMA_SERVER, Engine
from support.gguf_file import Shape, write_tiny_adapter, write_tiny_gguf
from support.installed import PYTHON
from support.served import BASE, Served, data_folder, serve

pytestmark = pytest.mark.late
AT_ONCE = 4
# Options without which an instance starts here, by why it can't with them.
# So does one of a build of its own without the options that the engine in its place lacks.
NOT_HERE: Mapping[str, str] = {
    "mmproj": "no tiny projector is made, and none is right for a model of text alone",
    "mmproj_offload": "it is about the projector",
    "override_tensor": "it names CUDA0, and this machine has no GPU",
    "models_autoload": "without it a model has to be loaded before it is asked",
}
# Likewise, for one of the engines.
NOT_QUANTIZED = {
    key: "this engine's kernels for small types are for other processors"
    for key in ("cache_type_k", "cache_type_v")
}
# What the built-in engine does not start at all.
NOT_BUILT_IN = {"models_dir": "it serves one model"}
# Those of which nothing starts: kinds of them, by a part of why they are refused.
NOTHING_STARTS = {
    "another machine": "the engine is on another machine",
    "does not hold the engine": "a container's service, whose command is in another file",
    "it names no program": "a container, in which the program is",
    "it runs": "another program, for the backend of llama.cpp",
    "the command is empty": "no command",
    "must be a mapping": "not a configuration",
    "is there twice": "not a configuration",
}
OURS = ("extra_args", "router")
MODELS = ("hf_repo", "hf_file", "model_url", "docker_repo")
NAMES = ("aliases", "variants", "group")  # which several of the files have
CONTAINERS = ("container", "docker_enabled")  # whose images are not here
SERVER = """
import os, re, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.do_GET()

said = [*reversed(sys.argv), os.environ.get("PORT", "")]
ports = [found[1] for word in said if (found := re.search(r"(?:^|[=:])(\\d{4,5})$", word))]
HTTPServer(("127.0.0.1", int(ports[0])), Handler).serve_forever()
"""


@dataclass(frozen=True)
class InPlace:
    """What takes the place of people's own files and programs."""

    model: Path
    models: Path  # a folder of models
    adapter: Path
    template: Path
    engine: Path  # a program that becomes the engine
    server: Path
    known: Vocabulary  # the engine's options
    without: frozenset[str]

    def definition(self, given: Mapping[str, Any]) -> dict[str, Any]:
        found = {key: value for key, value in given.items() if key not in (*NAMES, *CONTAINERS)}
        options = dict(found.get("backend_options", {}))
        if found.get("backend_type") == "command":
            return {**found, "backend_options": self._program(options)}
        variables = {
            key: str(self.model) if key == "LLAMA_ARG_MODEL" else value
            for key, value in found.get("environment", {}).items()
        }
        if found.get("command_override"):
            found["command_override"] = str(self.engine)
            options = {k: v for k, v in options.items() if self.known.named(k) or k in OURS}
        return {**found, "backend_options": self._files(options, variables),
                "environment": variables}  # fmt: skip

    def _program(self, options: dict[str, Any]) -> dict[str, Any]:
        args = [PYTHON, str(self.server), *options.get("args", [])]
        fixed = ["--port", "${PORT}"] if options.pop("port", None) else []
        return {**options, "command": "env", "args": [*args, *fixed]}

    def _files(self, options: dict[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
        kept = {k: self._file(k, v) for k, v in options.items() if k not in self.without}
        if not {"models_dir", "models_preset"} & {*kept} and "LLAMA_ARG_MODEL" not in variables:
            kept["model"] = str(self.model)
        if kept.get("embedding"):  # which a model that is made for it says in its file
            kept.setdefault("pooling", "mean")
        return kept

    def _file(self, option: str, value: Any) -> Any:
        if option not in PATHS:
            return value
        if option in FOLDERS:
            return str(self.models)
        match option:
            case "lora":
                return str(self.adapter)
            case "lora_scaled":
                return f"{self.adapter}:0.5"
            case "chat_template_file":
                return str(self.template)
        return str(self.model)


@dataclass
class Starts:
    """Each different definition starts once."""

    server: Served
    in_place: InPlace
    client: (
        httpx.Client
    )  # one for all threads: a new one reads the environment, which pytest changes
    pool: ThreadPoolExecutor
    found: dict[str, Future[str]]

    def ask(self, given: Mapping[str, Any]) -> Future[str]:
        """What went wrong, in the end."""
        wanted = self.in_place.definition(given)
        key = json.dumps(wanted, sort_keys=True)
        if key not in self.found:
            name = f"corpus-{len(self.found)}"
            self.found[key] = self.pool.submit(started, self.client, name, wanted)
        return self.found[key]


def started(client: httpx.Client, name: str, wanted: Mapping[str, Any]) -> str:
    made = client.post(f"{BASE}/{name}", json=wanted)
    if made.status_code != 201 or made.json()["status"] != "running":
        return f"{made.status_code} {made.text} of {wanted}"
    path, question = asked(name, wanted["backend_options"])
    answer = client.post(path, json=question)
    gone = client.delete(f"{BASE}/{name}")
    if (answer.status_code, gone.status_code) != (200, 204):
        return f"{answer.status_code} {answer.text}; {gone.status_code} {gone.text} of {wanted}"
    return ""


def asked(name: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A short question, of the kind that it is for."""
    if options.get("reranking"):
        return "/v1/rerank", {"model": name, "query": "a", "documents": ["b", "c"]}
    if options.get("embedding"):
        return "/v1/embeddings", {"model": name, "input": "hi"}
    model = f"{name}/tiny" if "models_dir" in options else name
    return "/v1/completions", {"model": model, "prompt": "hi", "max_tokens": 2}


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Starts]:
    folder = tmp_path_factory.mktemp("in-place")
    models = folder / "models"
    models.mkdir()
    in_place = InPlace(
        folder / "model.gguf", models, folder / "adapter.gguf", folder / "template.jinja",
        folder / "llama-server", folder / "server.py",
        Vocabulary(LLAMA_CPP.read_help(engine.help())),
        frozenset({*NOT_HERE, *MODELS, *(() if engine.quantized else NOT_QUANTIZED)}),
    )  # fmt: skip
    write_tiny_gguf(in_place.model, Shape(heads=2, kv_heads=2))  # wide enough to be quantized
    (models / "tiny.gguf").hardlink_to(in_place.model)
    write_tiny_adapter(in_place.adapter)
    in_place.template.write_text("{% for m in messages %}{{m.content}}{% endfor %}")
    in_place.engine.write_text(f"#!/bin/sh\n{engine.shell}\n")
    in_place.engine.chmod(0o755)
    in_place.server.write_text(SERVER)
    data = data_folder(folder, "instances: {max_running_instances: -1}")
    with serve(data) as server, server.client() as client, ThreadPoolExecutor(AT_ONCE) as pool:
        found = Starts(server, in_place, client, pool, {})
        for source in IMPORTS:  # all of them begin before the first is waited for
            for one in filter(starts_here, of_import(source, found).values()):
                found.ask(one)
        for source in COMMANDS if engine.name == LLAMA_SERVER else ():
            for one in filter(starts_here, of_command(source, found)):
                found.ask(one)
        yield found


def of_command(source: Path, starts: Starts) -> list[dict[str, Any]]:
    """What the API makes of it; nothing where it is refused."""
    section = "command" if expected(source).get("backend") == "command" else "llama-cpp"
    body = {"command": source.read_text()}
    answer = starts.server.request("POST", f"/api/v1/backends/{section}/parse-command", body)
    return [answer.json()["options"]] if answer.status_code == 200 else []


def starts_here(given: Mapping[str, Any]) -> bool:
    """Other engines are started by the tests of lives."""
    return given.get("backend_type", "llama_cpp") in ("llama_cpp", "command")


def of_import(source: Path, starts: Starts) -> dict[str, dict[str, Any]]:
    try:
        return imported(source, starts.in_place.known).instances
    except LlamactlError:
        return {}


def refused(source: Path) -> str:
    return str(expected(source).get("refused", ""))


@pytest.mark.parametrize("engine", [LLAMA_SERVER], indirect=True, scope="module")
@pytest.mark.parametrize("source", COMMANDS, ids=name_of)
def test_a_pasted_command_starts_and_answers(source: Path, starts: Starts) -> None:
    found = of_command(source, starts)

    if not found:
        assert any(kind in refused(source) for kind in NOTHING_STARTS), refused(source)
    ours = [*filter(starts_here, found)]
    assert [starts.ask(one).result() for one in ours] == [""] * len(ours)


@pytest.mark.both_engines
@pytest.mark.parametrize("source", IMPORTS, ids=name_of)
def test_an_imported_file_starts_and_answers(source: Path, starts: Starts, engine: Engine) -> None:
    found = of_import(source, starts)

    assert len(found) == len(expected(source).get("instances", {}))
    found = {name: one for name, one in found.items() if starts_here(one)}
    if engine.name == BUILT_IN:
        found = {
            k: v for k, v in found.items() if not {*NOT_BUILT_IN} & {*v.get("backend_options", {})}
        }
    results = {name: starts.ask(one).result() for name, one in found.items()}
    assert results == dict.fromkeys(found, "")
