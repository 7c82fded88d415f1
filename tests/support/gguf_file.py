"""A random llama model of half a megabyte: ready in milliseconds, answers nonsense."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

_LAYERS, _EMBEDDING, _HEADS, _FORWARD, _CONTEXT = 2, 64, 4, 128, 2048
_END = 2
_TEMPLATE = "{% for m in messages %}<{{m.role}}>{{m.content}}\n{% endfor %}<assistant>"


def write_tiny_gguf(path: Path) -> None:
    rng = np.random.default_rng(0)
    writer = gguf.GGUFWriter(str(path), "llama")
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]
    tokens += ["▁", "▁the", "▁of", "▁and", "▁to", "▁in", "▁is", "▁it", "▁you", "▁that"]
    kinds = [2, 3, 3] + [6] * 256 + [1] * (len(tokens) - 259)
    writer.add_name("tiny")
    writer.add_context_length(_CONTEXT)
    writer.add_embedding_length(_EMBEDDING)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_FORWARD)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(_EMBEDDING // _HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(0)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * 259 + [-float(i) for i in range(len(tokens) - 259)])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(_END)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_chat_template(_TEMPLATE)
    for name, shape in _tensors(len(tokens)):
        if len(shape) == 1:
            values = np.ones(shape, np.float32)
        else:
            values = (rng.standard_normal(shape) * 0.05).astype(np.float32)
        if name == "token_embd.weight":
            values[:, 0] = 0.5  # the same large number for all tokens,
        elif name == "output.weight":
            values[_END, 0] = -10  # by which the end is never drawn: answers are as long as asked
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _tensors(vocabulary: int) -> list[tuple[str, tuple[int, ...]]]:
    e, f = _EMBEDDING, _FORWARD
    shapes: list[tuple[str, tuple[int, ...]]] = [
        ("token_embd.weight", (vocabulary, e)),
        ("output_norm.weight", (e,)),
        ("output.weight", (vocabulary, e)),
    ]
    for layer in range(_LAYERS):
        parts = [("attn_norm", (e,)), ("ffn_norm", (e,)), ("ffn_gate", (f, e))]
        parts += [("ffn_up", (f, e)), ("ffn_down", (e, f))]
        parts += [(f"attn_{x}", (e, e)) for x in ("q", "k", "v", "output")]
        shapes += [(f"blk.{layer}.{name}.weight", shape) for name, shape in parts]
    return shapes
