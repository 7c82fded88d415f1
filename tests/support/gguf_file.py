"""Random llama models: the tiny one is ready in milliseconds and answers nonsense."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

_END = 2
_BYTES = 259  # tokens before the words: three special ones, then each byte
_ASCII_END = 3 + 0x80
_WORDS = ["▁", "▁the", "▁of", "▁and", "▁to", "▁in", "▁is", "▁it", "▁you", "▁that"]
_TEMPLATE = "{% for m in messages %}<{{m.role}}>{{m.content}}\n{% endfor %}<assistant>"


@dataclass(frozen=True)
class Shape:
    layers: int = 2
    embedding: int = 64
    heads: int = 4
    kv_heads: int = 4
    forward: int = 128
    context: int = 2048
    vocabulary: int = _BYTES + len(_WORDS)
    says: int | None = None  # the one token that it answers with, again and again
    word: str = ""  # what that token is
    template: str = _TEMPLATE
    name: str = "tiny"
    infills: bool = False  # it knows tokens for what comes before and after
    architecture: str = "llama"  # or gemma3, or mamba


TINY = Shape()
SLIDING = Shape(name="sliding", layers=6, architecture="gemma3")  # looks back 64 tokens
RECURRENT = Shape(name="recurrent", architecture="mamba")  # keeps a state, and no tokens
_WINDOW, _STATE, _CONVOLUTION, _RANK = 64, 16, 4, 4


def write_tiny_gguf(path: Path, shape: Shape = TINY) -> None:
    rng = np.random.default_rng(0)
    writer = gguf.GGUFWriter(str(path), shape.architecture)
    tokens = _tokens(shape)
    kinds = [2, 3, 3] + [6] * 256 + [1] * (len(tokens) - _BYTES)
    writer.add_name(shape.name)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.embedding)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(shape.embedding // shape.heads)
    if shape.architecture == "gemma3":
        writer.add_sliding_window(_WINDOW)
        writer.add_key_length(shape.embedding // shape.heads)
        writer.add_value_length(shape.embedding // shape.heads)
    elif shape.architecture == "mamba":
        writer.add_ssm_conv_kernel(_CONVOLUTION)
        writer.add_ssm_inner_size(2 * shape.embedding)
        writer.add_ssm_state_size(_STATE)
        writer.add_ssm_time_step_rank(_RANK)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(0)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * _BYTES + [-float(i) for i in range(len(tokens) - _BYTES)])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(_END)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    if shape.infills:
        for place, name in enumerate(("pre", "suf", "mid")):
            writer.add_uint32(f"tokenizer.ggml.fim_{name}_token_id", _BYTES + place)
    writer.add_chat_template(shape.template)
    for name, sizes in _tensors(shape):
        writer.add_tensor(name, _values(name, sizes, rng, shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _values(
    name: str, sizes: tuple[int, ...], rng: np.random.Generator, shape: Shape
) -> NDArray[np.float32]:
    if len(sizes) == 1:
        return np.ones(sizes, np.float32)
    values = (rng.standard_normal(sizes) * 0.05).astype(np.float32)
    if name == "token_embd.weight":
        values[:, 0] = 0.5  # the same number for all tokens, which no layer changes:
    elif name.endswith(("attn_output.weight", "ffn_down.weight")):
        values[0] = 0
    elif name == "output.weight":
        # by it the end is never drawn, so answers are as long as asked, nor are bytes that are
        # no character: newer engines take an answer with half a one for their own fault
        values[_END, 0] = values[_ASCII_END:_BYTES, 0] = -1000
        if shape.says is not None:
            values[shape.says, 0] = 10
    return values


def _tokens(shape: Shape) -> list[str]:
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), *_WORDS]
    tokens += [f"▁word{i}" for i in range(shape.vocabulary - len(tokens))]
    if shape.word and shape.says is not None:
        tokens[shape.says] = shape.word
    return tokens


def _tensors(shape: Shape) -> list[tuple[str, tuple[int, ...]]]:
    e, f = shape.embedding, shape.forward
    kv = e // shape.heads * shape.kv_heads
    shapes: list[tuple[str, tuple[int, ...]]] = [
        ("token_embd.weight", (shape.vocabulary, e)),
        ("output_norm.weight", (e,)),
        ("output.weight", (shape.vocabulary, e)),
    ]
    if shape.architecture == "mamba":
        return shapes + _recurrent_tensors(shape)
    for layer in range(shape.layers):
        parts = [("attn_norm", (e,)), ("ffn_norm", (e,)), ("ffn_gate", (f, e))]
        parts += [("ffn_up", (f, e)), ("ffn_down", (e, f))]
        parts += [("attn_q", (e, e)), ("attn_k", (kv, e)), ("attn_v", (kv, e))]
        parts += [("attn_output", (e, e))]
        if shape.architecture == "gemma3":
            head = (e // shape.heads,)
            parts += [("attn_q_norm", head), ("attn_k_norm", head)]
            parts += [("post_attention_norm", (e,)), ("post_ffw_norm", (e,))]
        shapes += [(f"blk.{layer}.{name}.weight", sizes) for name, sizes in parts]
    return shapes


def _recurrent_tensors(shape: Shape) -> list[tuple[str, tuple[int, ...]]]:
    e, inner = shape.embedding, 2 * shape.embedding
    shapes: list[tuple[str, tuple[int, ...]]] = []
    for layer in range(shape.layers):
        parts: list[tuple[str, tuple[int, ...]]] = [
            ("attn_norm.weight", (e,)), ("ssm_in.weight", (2 * inner, e)),
            ("ssm_conv1d.weight", (inner, _CONVOLUTION)), ("ssm_conv1d.bias", (inner,)),
            ("ssm_x.weight", (_RANK + 2 * _STATE, inner)), ("ssm_dt.weight", (inner, _RANK)),
            ("ssm_dt.bias", (inner,)), ("ssm_a", (inner, _STATE)), ("ssm_d", (inner,)),
            ("ssm_out.weight", (e, inner)),
        ]  # fmt: skip
        shapes += [(f"blk.{layer}.{name}", sizes) for name, sizes in parts]
    return shapes


def write_tiny_adapter(path: Path, shape: Shape = TINY) -> None:
    """A LoRA adapter for the tiny model."""
    rng = np.random.default_rng(1)
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, 8.0)
    for part in ("lora_a", "lora_b"):
        sizes = (4, shape.embedding) if part == "lora_a" else (shape.embedding, 4)
        values = (rng.standard_normal(sizes) * 0.01).astype(np.float32)
        writer.add_tensor(f"blk.0.attn_q.weight.{part}", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
