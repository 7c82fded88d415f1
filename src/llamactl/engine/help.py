"""What the engine prints of its flags, in the form of llama-server's help."""

from __future__ import annotations

import enum
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import xllamacpp as xl

from llamactl.engine.flags import choices, field_of, fields
from llamactl.engine.rows import FURTHER, ROWS
from llamactl.engine.texts import DEFAULTS, TEXTS, VALUES

_COLUMN, _WIDTH = 40, 110
# Fields for llama.cpp's other programs: they are set by flags of their names, and
# change nothing in a server.
_NOT_OURS = re.compile(
    r"activation_statistics|api_keys|check|chunk_\w+|cls_sep|compute_ppl|context_files|"
    r"cors_origins_explicit|cpumask|diffusion\..*|display_prompt|embd_(out|sep)|"
    r"enable_chat_template|fit_params_(print|target)|grp_attn_\w+|hellaswag\w*|hostnames|i_chunk|"
    r"i_pos|image|imat_dat|in_files|input_\w+|interactive|is_\w+|kl_divergence|"
    r"logits_\w+|lora_adapters|mask_valid|multiline_\w+|"
    r"multiple_choice\w*|n_(chunks|junk|out_freq|pca_\w+|pl|pp|print|save_freq|"
    r"sequences|tg)|no_alloc|out_file|parse_special|path_prompt_cache|ppl_\w+|preserve_\w+|"
    r"process_output|prompt\w*|sampling\.(generation_prompt|grammar\..*|logit_bias\w*|"
    r"no_perf|reasoning_budget_(start|end|forced)|"
    r"timing_per_token|user_sampling_config)|save_logits|server_(base|tools\w*)|show_\w+|simple_io|"
    r"single_turn|speculative\.(draft\.probabilistic|synth_\w+)|system_prompt|tensor_filter|"
    r"timeout_\w+|tokenize_\w+|tts_\w+|usage|use_color|verbose_prompt|winogrande\w*"
)
_SECTIONS: Mapping[str, str] = {
    "sampling": "sampling", "speculative": "speculative decoding", "": "model and server",
}  # fmt: skip


def usage() -> str:
    """Every flag that a server uses, with its type and default, read from the object itself."""
    rows = {path.lstrip("!"): (flags.split(), path[0] == "!") for flags, path in ROWS.items()}
    sections: dict[str, list[str]] = {name: [] for name in _SECTIONS.values()}
    for path, value in fields(xl.CommonParams()):
        flags, opposite = rows.get(path) or (_own(path, value), False)
        if flags:
            group = path.partition(".")[0]
            lines = sections[_SECTIONS.get(group, _SECTIONS[""])]
            lines += _lines(flags, _placeholder(flags, value), _default(flags, value, opposite))
    for listed, placeholder in FURTHER.items():
        sections[_SECTIONS[""]] += _lines(listed.split(), placeholder, "")
    said = ["usage: python -m llamactl.engine --model FILE [--port N] [flags]"]
    for name, lines in sections.items():
        said += ["", f"----- {name} -----", "", *lines]
    return "\n".join([*said, "", "The API key is read from LLAMA_API_KEY."])


def _own(path: str, value: Any) -> list[str]:
    """Of a field without a row; none where its name means another field, or nothing here."""
    leaf = path.rpartition(".")[2]
    if _NOT_OURS.fullmatch(path) or _NOT_OURS.fullmatch(leaf) or field_of(leaf) != path:
        return []
    flag = leaf.replace("_", "-")
    return [f"--{flag}", *([f"--no-{flag}"] if isinstance(value, bool) else [])]


def _long(flags: list[str]) -> str:
    return next(flag for flag in flags if flag.startswith("--"))


def _placeholder(flags: list[str], value: Any) -> str:
    if (known := VALUES.get(_long(flags))) is not None:
        return known
    match value:
        case bool():
            return ""
        case enum.IntEnum():
            return "{" + ",".join(choices(type(value))) + "}"
        case int() | float():
            return "N"
        case str():
            return "TEXT"
        case _ if _long(flags) == "--spec-type":
            return ",".join(name.replace("_", "-") for name in choices(xl.common_speculative_type)
                            if name != "count")  # fmt: skip
        case _:
            return "A,B,..."


def _default(flags: list[str], value: Any, opposite: bool) -> str:
    if (known := DEFAULTS.get(_long(flags))) is not None:
        return known
    match value:
        case bool():
            return "enabled" if value is not opposite else "disabled"
        case enum.IntEnum() if "..." in VALUES.get(_long(flags), ""):
            return str(int(value))
        case enum.IntEnum():
            return next((name for name, one in choices(type(value)).items() if one == value), "")
        case float():
            text = f"{value:.6g}"
            return text if set(text) & set(".en") else f"{text}.0"
        case int() | str():
            return str(value)[:80].encode("unicode_escape").decode()
        case _:
            return ""


def _lines(flags: list[str], placeholder: str, default: str) -> Iterator[str]:
    text = " ".join([TEXTS.get(_long(flags), ""), f"(default: {default})" if default else ""])
    head = f"{', '.join(flags)} {placeholder}".rstrip()
    words = textwrap.wrap(
        text.strip(), _WIDTH - _COLUMN, break_long_words=False, break_on_hyphens=False
    )
    if len(head) < _COLUMN - 1 and words:
        head = f"{head:<{_COLUMN}}{words.pop(0)}"
    yield head
    yield from (" " * _COLUMN + line for line in words)
