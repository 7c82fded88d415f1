"""A tiny random Llama model in the layout of Hugging Face, for engines that read safetensors.

Needs nothing but Python, so that any engine's own interpreter can run it as a script:
`python tiny_hf.py FOLDER`. Its answers are letters, one a token, and never end by themselves.
"""

from __future__ import annotations

import json
import random
import string
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path

Shape = tuple[int, ...]
Tensor = tuple[Shape, Sequence[float]]

_SPECIAL = ("<s>", "</s>", "<|im_start|>", "<|im_end|>")
_BOS, _EOS = 0, 1
_VOCABULARY = 320  # a multiple of what engines pad it to
_HEAD = 32  # values of an attention head
_LETTERS = frozenset(string.ascii_lowercase + "Ġ")  # Ġ: a space, as the tokenizer writes it
_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_tiny_hf(folder: Path, *, hidden: int = 64, layers: int = 2, context: int = 2048) -> Path:
    """Write the model and its tokenizer; 0.5 MB as long as nothing is given."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "config.json", _config(hidden, layers, context))
    _write(folder / "generation_config.json", {"bos_token_id": _BOS, "eos_token_id": _EOS})
    _write(folder / "tokenizer.json", _tokenizer())
    _write(folder / "tokenizer_config.json", _tokenizer_config(context))
    write_safetensors(folder / "model.safetensors", dict(_weights(hidden, layers)))
    return folder


def make_tiny_lora(folder: Path, *, hidden: int = 64, layers: int = 2, rank: int = 8) -> Path:
    """Write a random LoRA adapter for the model of the same size, in the layout of PEFT."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": rank,
        "target_modules": ["q_proj", "v_proj"], "bias": "none", "lora_dropout": 0.0,
        "base_model_name_or_path": "tiny", "inference_mode": True,
    }  # fmt: skip
    _write(folder / "adapter_config.json", config)
    draw, heads, tensors = random.Random(1), _heads(hidden) * _HEAD, dict[str, Tensor]()
    for layer in range(layers):
        for name in ("q_proj", "v_proj"):
            at = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            tensors[f"{at}.lora_A.weight"] = _random(draw, rank, hidden)
            tensors[f"{at}.lora_B.weight"] = _random(draw, heads, rank)
    write_safetensors(folder / "adapter_model.safetensors", tensors)
    return folder


def write_safetensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Of 32 bits each: https://github.com/huggingface/safetensors#format."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, (shape, _) in tensors.items():
        size = 4 * prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, values in tensors.values():
            file.write(array("f", values).tobytes())


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _heads(hidden: int) -> int:
    return max(2, hidden // _HEAD)


def _config(hidden: int, layers: int, context: int) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden,
        "intermediate_size": 2 * hidden, "num_hidden_layers": layers,
        "num_attention_heads": _heads(hidden), "num_key_value_heads": _heads(hidden),
        "head_dim": _HEAD, "vocab_size": _VOCABULARY, "max_position_embeddings": context,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
        "tie_word_embeddings": False, "bos_token_id": _BOS, "eos_token_id": _EOS,
        "torch_dtype": "float32", "attention_bias": False, "mlp_bias": False,
    }  # fmt: skip


def _tokens() -> list[str]:
    """Every byte as byte-level tokenizers spell it, and fillers."""
    plain = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    spelled = {byte: chr(byte) for byte in plain}
    spelled |= {byte: chr(256 + n) for n, byte in enumerate(others)}
    known = [*_SPECIAL, *(spelled[byte] for byte in range(256))]
    return [*known, *(f"<unused{n}>" for n in range(_VOCABULARY - len(known)))]


def _tokenizer() -> dict[str, object]:
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
             "use_regex": True}  # fmt: skip
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [
            {"id": number, "content": text, "single_word": False, "lstrip": False,
             "rstrip": False, "normalized": False, "special": True}
            for number, text in enumerate(_SPECIAL)
        ],
        "normalizer": None, "pre_tokenizer": level, "post_processor": None, "decoder": level,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {text: number for number, text in enumerate(_tokens())}, "merges": [],
        },
    }  # fmt: skip


def _tokenizer_config(context: int) -> dict[str, object]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>",
        "pad_token": "</s>", "model_max_length": context, "clean_up_tokenization_spaces": False,
        "chat_template": _TEMPLATE,
    }  # fmt: skip


def _random(draw: random.Random, *shape: int) -> Tensor:
    return shape, [draw.gauss(0, 0.05) for _ in range(prod(shape))]


def _ones(size: int) -> Tensor:
    return (size,), [1.0] * size


def _weights(hidden: int, layers: int) -> Iterator[tuple[str, Tensor]]:
    draw, heads, inner = random.Random(0), _heads(hidden) * _HEAD, 2 * hidden
    yield "model.embed_tokens.weight", _random(draw, _VOCABULARY, hidden)
    for layer in range(layers):
        at = f"model.layers.{layer}."
        for name in "qkv":
            yield f"{at}self_attn.{name}_proj.weight", _random(draw, heads, hidden)
        yield f"{at}self_attn.o_proj.weight", _random(draw, hidden, heads)
        yield f"{at}mlp.gate_proj.weight", _random(draw, inner, hidden)
        yield f"{at}mlp.up_proj.weight", _random(draw, inner, hidden)
        yield f"{at}mlp.down_proj.weight", _random(draw, hidden, inner)
        yield f"{at}input_layernorm.weight", _ones(hidden)
        yield f"{at}post_attention_layernorm.weight", _ones(hidden)
    yield "model.norm.weight", _ones(hidden)
    yield "lm_head.weight", _head_of(draw, hidden)


def _head_of(draw: random.Random, hidden: int) -> Tensor:
    """Letters are likely, everything else is not: no answer ends, and all can be read."""
    rows: list[float] = []
    for token in _tokens():
        likely = token in _LETTERS
        rows += [draw.gauss(0, 1) if likely else 0.0 for _ in range(hidden)]
    return (_VOCABULARY, hidden), rows


if __name__ == "__main__":
    make_tiny_hf(Path(sys.argv[1]))
