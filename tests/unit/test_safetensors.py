"""A folder of safetensors says what its model is, and nothing in it is believed blindly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llamactl.backends import BACKENDS
from llamactl.models import ModelReader, ServedModels, UnreadableModel
from support.tiny_hf import Tensor, make_tiny_hf, write_safetensors

RULES = BACKENDS["vllm"].models


def served(**options: Any) -> Any:
    assert RULES is not None
    return ServedModels(ModelReader(), lambda same: same)(RULES, options).info


def edited(folder: Path, **values: Any) -> Path:
    """With these in its config."""
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))
    return folder


def one_tensor(size: int) -> dict[str, Tensor]:
    return {"lm_head.weight": ((size,), [0.0] * size)}


def test_its_context_its_layers_and_its_weights_are_read(tmp_path: Path) -> None:
    folder = make_tiny_hf(tmp_path, layers=3, context=1000)

    facts = ModelReader().facts(folder)

    shape = facts.shape
    assert (shape.architecture, shape.layers, shape.context) == ("llama", 3, 1000)
    assert shape.weights == 4 * facts.parameters == shape.types["F32"]
    assert len({*shape.layer_bytes}) == 1 and shape.embedding_bytes == 320 * 64 * 4
    assert (shape.heads, shape.kv_heads, shape.key_size) == (2, (2, 2, 2), 32)
    assert "<|im_start|>" in facts.chat_template and facts.quantization == "F32"


def test_an_instance_says_how_much_it_may_be_asked(tmp_path: Path) -> None:
    folder = str(make_tiny_hf(tmp_path, context=1000))

    assert served(model=folder).context == 1000
    assert served(model=folder, max_model_len=500).context == 500
    assert served(model=folder, max_model_len="1k").context == 1000
    assert served(model=folder).trained_context == 1000
    assert served(model="org/unknown", max_model_len=7).context == 7


def test_what_it_can_do_is_as_its_options_say(tmp_path: Path) -> None:
    folder = str(make_tiny_hf(tmp_path))
    tools = {"chat_template": "{% if tools %}x{% endif %}", "enable_auto_tool_choice": True}

    assert served(model=folder).capabilities == ("completion",)
    assert served(model=folder, convert="embed").capabilities == ("embedding",)
    assert served(model=folder, reasoning_parser="qwen3", **tools).capabilities == (
        "completion", "tools", "thinking"
    )  # fmt: skip


def test_files_that_an_index_does_not_name_are_not_counted(tmp_path: Path) -> None:
    folder = make_tiny_hf(tmp_path)
    before = ModelReader().shape(folder).weights
    write_safetensors(folder / "consolidated.safetensors", one_tensor(1000))
    assert ModelReader().shape(folder).weights == before + 4000
    index = {"weight_map": {"x": "model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    assert ModelReader().shape(folder).weights == before


def test_it_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    reader, folder = ModelReader(), make_tiny_hf(tmp_path, context=1000)
    assert reader.shape(folder).context == 1000

    edited(folder, max_position_embeddings=12345)

    assert reader.shape(folder).context == 12345


def test_a_model_that_sees_is_read_by_what_it_writes_with(tmp_path: Path) -> None:
    folder = edited(make_tiny_hf(tmp_path), text_config={"max_position_embeddings": 77})

    assert ModelReader().shape(folder).context == 77


@pytest.mark.parametrize(
    "content",
    [b"", b"\x08", (1 << 62).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"[]",
     (3).to_bytes(8, "little") + b"{}}", (9).to_bytes(8, "little") + b'{"a": 1 }',
     (60).to_bytes(8, "little") + b'{"a": {"dtype": "F32", "shape": [99999, 99999]}}'.ljust(60),
     (60).to_bytes(8, "little") + b'{"a": {"dtype": "F32", "shape": [-1]}}'.ljust(60),
     (200).to_bytes(8, "little") + b"[" * 200],
)  # fmt: skip
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    folder = make_tiny_hf(tmp_path)
    (folder / "model.safetensors").write_bytes(content)

    with pytest.raises(UnreadableModel, match="not a readable safetensors file"):
        ModelReader().shape(folder)


@pytest.mark.parametrize("config", ["", "[]", "{", '{"num_hidden_layers": ' + "9" * 30 + "}"])
def test_a_config_that_is_none_is_refused_or_says_nothing(tmp_path: Path, config: str) -> None:
    folder = make_tiny_hf(tmp_path)
    (folder / "config.json").write_text(config)

    try:
        assert ModelReader().shape(folder).layers == 2
    except UnreadableModel:
        assert not config.endswith("9}")


def test_a_folder_without_any_is_not_a_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")

    with pytest.raises(UnreadableModel, match="has no"):
        ModelReader().shape(tmp_path)
