"""What nvidia-smi says, in the form of the drivers 535 to 590, as `tests/gpu` reads it."""

from __future__ import annotations

import pytest

from support import nvidia_smi

MIB = 1 << 20
NO_DRIVER = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that "
    "the latest NVIDIA driver is installed and running.\n\n"
)


def test_cards_and_processes_are_read() -> None:
    assert nvidia_smi.read_totals("0, 49140\n1, 97887\n") == {
        "gpu0": 49140 * MIB, "gpu1": 97887 * MIB,
    }  # fmt: skip
    said = "80613, 92908\n80614, 92908\n80613, 518\n"  # one of them on two cards
    assert nvidia_smi.read_processes(said) == {80613: 93426 * MIB, 80614: 92908 * MIB}


@pytest.mark.parametrize("text", ["", "\n", "1584, [N/A]\n7500, [N/A]\n", NO_DRIVER])
def test_what_is_not_measured_is_no_number(text: str) -> None:
    assert (nvidia_smi.read_processes(text), nvidia_smi.read_totals(text)) == ({}, {})


def test_without_a_driver_its_own_words_are_the_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("bin")
    (folder / "nvidia-smi").write_text(f'#!/bin/sh\necho "{NO_DRIVER}"\nexit 9\n')
    (folder / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))

    with pytest.raises(OSError, match="couldn't communicate with the NVIDIA driver"):
        nvidia_smi.taken({1})


@pytest.mark.parametrize(
    ("ours", "theirs", "wanted"),
    [(1000, 1040, True), (1000, 1100, False), (100, 150, True), (0, 0, False), (0, 2000, False)],
)  # fmt: skip
def test_numbers_are_near_within_a_share_or_a_context(ours: int, theirs: int, wanted: bool) -> None:
    assert nvidia_smi.is_near(ours * MIB, theirs * MIB, 0.05) is wanted
