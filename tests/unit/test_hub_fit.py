"""Which models fit a machine, which quantisation is recommended, and the list of first models."""

from __future__ import annotations

import re
from datetime import date

import pytest

from llamactl.models.hub.fit import Room, Sized, fit, needed, recommended
from llamactl.models.hub.starters import Starter, starters, suited
from llamactl.models.naming import read_reference

GIB = 1 << 30
LADDER = [
    Sized("Q2_K", 3 * GIB), Sized("IQ4_XS", 4 * GIB), Sized("Q4_K_M", 5 * GIB),
    Sized("Q5_K_M", 6 * GIB), Sized("Q6_K", 7 * GIB), Sized("Q8_0", 9 * GIB),
    Sized("BF16", 17 * GIB),
]  # fmt: skip


def test_a_model_fits_only_with_room_for_a_context() -> None:
    assert needed(4 * GIB) == 5 * GIB + GIB // 2
    assert [fit(4 * GIB, room * GIB) for room in (6, 5, 3)] == ["yes", "tight", "no"]
    assert fit(4 * GIB, None) is None


@pytest.mark.parametrize(
    ("room", "quant", "why"),
    [
        (100, "Q6_K", "from Q4_K_M to Q6_K"),  # not BF16, which brings little
        (10, "Q6_K", "from Q4_K_M to Q6_K"),
        (8, "Q5_K_M", "from Q4_K_M to Q6_K"),
        (7, "Q4_K_M", "from Q4_K_M to Q6_K"),
        (6, "IQ4_XS", "the largest that leaves"),
        (4.5, "Q2_K", "the largest that leaves"),
        (4, "Q2_K", "only just fits"),
        (2, None, ""),
        (None, "Q4_K_M", "unknown or unlimited"),
    ],
)
def test_the_recommended_one_is_good_and_fits(
    room: float | None, quant: str | None, why: str
) -> None:
    found = recommended(LADDER, None if room is None else int(room * GIB))
    assert (found and LADDER[found.at].quant) == quant
    assert found is None or why in found.reason


def test_the_order_of_the_files_does_not_matter() -> None:
    found = recommended(LADDER[::-1], 100 * GIB)
    assert found is not None and LADDER[::-1][found.at].quant == "Q6_K"


@pytest.mark.parametrize(
    ("quants", "quant"),
    [
        (["Q8_0", "F16"], "Q8_0"),
        (["MXFP4"], "MXFP4"),
        (["UD-Q4_K_XL", "UD-Q2_K_XL", "UD-Q8_K_XL"], "UD-Q4_K_XL"),
        (["Q3_K_L", "Q4_0", "Q8_0"], "Q4_0"),
        ([""], ""),
        (["TQ1_0", "IQ2_XXS"], "IQ2_XXS"),
    ],
)
def test_repositories_with_other_quantisations(quants: list[str], quant: str) -> None:
    found = [Sized(one, GIB + n) for n, one in enumerate(quants)]
    best = recommended(found, 100 * GIB)
    assert best is not None and found[best.at].quant == quant


def test_nothing_is_recommended_of_nothing() -> None:
    assert recommended([], 100 * GIB) is None
    assert recommended([], None) is None


def test_the_list_of_first_models_is_in_good_form() -> None:
    found = starters()
    assert 8 <= len(found) <= 12
    assert len({one.name for one in found}) == len({one.file for one in found}) == len(found)
    for one in found:
        named = read_reference(f"{one.repo}/{one.file}")
        assert (named.repo, named.file) == (one.repo, one.file)
        assert one.file.endswith(".gguf")
        assert one.source == f"https://huggingface.co/{one.repo}"
        assert one.license and not one.purpose.endswith(".")
        assert re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", one.released)
        assert f"{one.checked:%Y-%m}" >= one.released
        assert one.size is None or 100 << 20 < one.size < 100 << 30
        assert 0 < one.active < 200


def test_what_suits_a_machine_comes_first() -> None:
    def names(room: Room) -> list[str]:
        return [one.starter.name for one in suited(starters(), room)]

    def ranks(room: Room) -> dict[str, str]:
        return {one.starter.name: f"{one.fits} {one.slow}" for one in suited(starters(), room)}

    assert names(Room(100 * GIB))[0] == "Qwen3 30B-A3B"  # little of it works on each token
    assert names(Room(60 * GIB, 30 * GIB))[0] == "Qwen3 32B"
    assert ranks(Room(60 * GIB, 30 * GIB))["Qwen3 32B"] == "yes False"
    assert ranks(Room(60 * GIB))["Qwen3 32B"] == "yes True"
    small = suited(starters(), Room(2 * GIB))
    assert [one.fits for one in small][:2] == ["yes", "yes"] and small[-1].fits == "no"
    assert {one.fits for one in suited(starters(), Room(None))} == {None}


def test_a_size_that_is_not_known_is_left_open() -> None:
    blank = Starter("N", "o/r", "f.gguf", "mit", "2026-01", 1, "p", "s", date(2026, 1, 1))
    (one,) = suited([blank], Room(GIB))
    assert (one.fits, one.memory) == (None, None)
