"""What the processor can do, and what the built-in engine makes of it."""

from __future__ import annotations

import pytest
import xllamacpp as xl

from llamactl.backends import DEFAULT
from llamactl.config import Settings
from llamactl.node import EngineBuilds, find_engine
from llamactl.node.engine import command
from llamactl.node.host.processor import named_in

BUILT_IN = DEFAULT.kind.built_in


@pytest.mark.parametrize(
    ("listed", "sets"),
    [("fpu vme sse sse2 ht pni ssse3 fma avx avx2 avx512f amx_int8 sha_ni arat ibrs hypervisor "
      "smep smap sme shadow fsgsbase",
      {"sse", "sse2", "pni", "ssse3", "fma", "avx", "avx2", "avx512f", "amx_int8",
       "sha_ni"}),
     ("fp asimd evtstrm aes pmull sha1 crc32 atomics asimddp cpuid ssbs i8mm bf16",
      {"fp", "asimd", "aes", "pmull", "sha1", "crc32", "atomics", "asimddp", "i8mm", "bf16"}),
     ("", set())],
    ids=["x86", "ARM", "none"],
)  # fmt: skip
def test_instruction_sets_are_told_from_what_changes_with_the_kernel(
    listed: str, sets: set[str]
) -> None:
    assert named_in(listed) == sets


def test_the_built_in_engine_does_not_use_what_we_say_that_it_does_not() -> None:
    assert BUILT_IN is not None
    used = str(xl.get_system_info())

    assert BUILT_IN.unused.keys() == {"avx512f", "amx_int8"}
    assert "AVX512" not in used
    assert "AMX" not in used


@pytest.mark.parametrize(
    ("has", "said"),
    [({"avx2"}, ""), ({"avx2", "avx512f"}, "has AVX-512:"),
     ({"avx2", "avx512f", "amx_int8"}, "has AMX:")],
)  # fmt: skip
def test_what_a_better_engine_would_gain_is_said(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch,
    has: set[str], said: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(command, "instruction_sets", lambda: frozenset(has))
    settings = Settings().backends.engine(DEFAULT.kind)

    found = find_engine(DEFAULT.kind, settings, EngineBuilds(tmp_path_factory.getbasetemp()))

    assert said in found.advice
    assert ("llamactl engine build" in found.advice) is bool(said)
