"""What an instance serves, by its options and its model's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llamactl.backends.llama_cpp.models import context_of, given, is_router
from llamactl.backends.llama_cpp.rules import GgufRules
from llamactl.core.model import ModelInfo, Offer
from llamactl.models import GgufReader, ServedModels
from support.gguf_file import Shape, write_tiny_gguf

TOOLS = "{% if tools %}{{ tools | tojson }}{% endif %}{{ messages }}"
THINKS = "{% if enable_thinking is false %}<think></think>{% endif %}{{ messages }}"


def served(options: Any) -> Offer:
    return ServedModels(GgufReader(), lambda same: same)(GgufRules(), options)


def write(path: Path, template: str = "{{ messages }}", context: int = 2048) -> str:
    path.parent.mkdir(exist_ok=True)
    write_tiny_gguf(path, Shape(template=template, context=context))
    return str(path)


@pytest.mark.parametrize(
    ("template", "options", "found"),
    [
        ("", {}, "completion"),
        (TOOLS, {}, "completion tools"),
        (THINKS, {}, "completion thinking"),
        (TOOLS + THINKS, {}, "completion tools thinking"),
        (TOOLS, {"jinja": False}, "completion"),
        (THINKS, {"reasoning": "off"}, "completion"),
        ("You have tools. {{ messages }}", {}, "completion"),
        (TOOLS, {"chat_template": "chatml"}, "completion"),
        ("", {"chat_template": TOOLS}, "completion tools"),
        (TOOLS, {"chat_template_file": "/nowhere"}, "completion"),
        (TOOLS, {"mmproj": "/nowhere"}, "completion vision tools"),
        (TOOLS, {"embedding": True}, "embedding"),
        (TOOLS, {"embedding": False}, "completion tools"),
        (TOOLS, {"reranking": True}, "rerank"),
        ("", {"embedding": True, "pooling": "rank"}, "rerank"),
        ("", {"embedding": True, "pooling": "mean"}, "embedding"),
    ],
)
def test_what_it_can_be_used_for(
    tmp_path: Path, template: str, options: dict[str, Any], found: str
) -> None:
    model = write(tmp_path / "m.gguf", template)

    assert served({"model": model, **options}).info.capabilities == tuple(found.split())


def test_it_may_fill_in_the_middle(tmp_path: Path) -> None:
    write_tiny_gguf(tmp_path / "m.gguf", Shape(infills=True))

    info = served({"model": str(tmp_path / "m.gguf")}).info

    assert info.capabilities == ("completion", "insert")


def test_a_template_may_be_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "own.jinja").write_text(TOOLS)
    model = write(tmp_path / "m.gguf")

    info = served({"model": model, "chat_template_file": str(tmp_path / "own.jinja")}).info

    assert "tools" in info.capabilities


@pytest.mark.parametrize(
    ("options", "context"),
    [  # as llama-server says it, trained for 2048 tokens
        ({}, 2048), ({"ctx_size": 0}, 2048), ({"ctx_size": 1024}, 1024), ({"ctx_size": 8192}, 2048),
        ({"ctx_size": 1024, "parallel": 4}, 256), ({"ctx_size": 1000, "parallel": 3}, 512),
        ({"ctx_size": 1024, "parallel": 1}, 1024), ({"ctx_size": 1024, "parallel": -1}, 1024),
        ({"ctx_size": 4096, "parallel": 4}, 1024), ({"parallel": 2}, 1024),
        ({"ctx_size": 4096, "parallel": 4, "kv_unified": True}, 2048), ({"ctx_size": 100}, 256),
        ({"ctx_size": "1024"}, 1024), ({"ctx_size": "much"}, 2048),
    ],
)  # fmt: skip
def test_the_context_is_that_of_one_request(options: dict[str, Any], context: int) -> None:
    assert context_of(2048, options) == context


def test_of_what_cannot_be_read_only_the_options_are_known() -> None:
    info = served({"model": "/nowhere.gguf", "ctx_size": 4096, "embedding": True}).info

    assert info == ModelInfo(("embedding",), context=4096)
    assert served({"model": "a\0b"}).info == ModelInfo(("completion",))


def test_options_may_come_from_settings_and_variables() -> None:
    variables = {"LLAMA_ARG_CTX_SIZE": "256", "LLAMA_ARG_N_PARALLEL": "2", "HOME": "/"}
    options: dict[str, Any] = {"extra_args": ["-c", "1024"], "jinja": False}

    found = given(options, ["--embedding", "-c", "512"], variables)

    assert found["ctx_size"] == 1024
    assert (found["parallel"], found["embedding"], found["jinja"]) == ("2", True, False)


def test_the_file_says_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    info = served({"model": write(path)}).info

    assert (info.architecture, info.quantization, info.parameters) == ("llama", "F32", 116672)
    assert (info.embedding, info.layers, info.trained_context) == (64, 2, 2048)
    assert info.size == path.stat().st_size
    assert info.modified == int(path.stat().st_mtime)


@pytest.mark.parametrize(
    ("options", "routes"),
    [({"models_dir": "/m"}, True), ({"models_preset": "/m.ini"}, True), ({}, False),
     ({"models_dir": "/m", "model": "/x"}, False), ({"models_dir": "/m", "hf_repo": "a/b"}, False)],
)  # fmt: skip
def test_without_a_model_it_serves_those_of_a_folder(options: Any, routes: bool) -> None:
    assert is_router(options) is routes
    assert served(options).several is routes


def test_models_of_a_folder_are_named_as_llama_server_does(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    write(folder / "one.gguf", context=512)
    write(folder / "two" / "weights-Q8_0.gguf")
    write(folder / "two" / "mmproj-F16.gguf")
    write(folder / "three" / "big-00001-of-00002.gguf")
    write(folder / "three" / "big-00002-of-00002.gguf")
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("no model")

    models = served({"models_dir": str(folder), "ctx_size": 1024}).models

    assert {name: info.context for name, info in models.items()} == {
        "one": 512, "two": 1024, "three": 1024,
    }  # fmt: skip
    assert "vision" in models["two"].capabilities
    assert served({"models_dir": str(tmp_path / "nowhere")}) == Offer(several=True)


def test_a_preset_names_models_too(tmp_path: Path) -> None:
    folder, preset = tmp_path / "models", tmp_path / "models.ini"
    write(folder / "one.gguf")
    own = write(tmp_path / "own.gguf")
    preset.write_text(
        f"version = 1\n\n[*]\nc = 1024\n; a comment\n[mine]\nmodel = {own}\nembedding = 1\n"
        "[one]\nctx-size = 512\n[org/some:Q4_0]\njinja = 0\n"
    )

    models = served({"models_dir": str(folder), "models_preset": str(preset)}).models

    assert {name: info.context for name, info in models.items()} == {
        "one": 512, "mine": 1024, "org/some:Q4_0": 1024,
    }  # fmt: skip
    assert models["mine"].capabilities == ("embedding",)
    models = served({"models_preset": str(preset), "ctx_size": 256}).models
    assert [info.context for info in models.values()] == [256] * 3
    assert served({"models_preset": str(tmp_path / "nowhere.ini")}) == Offer(several=True)
