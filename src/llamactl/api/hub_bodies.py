"""What the hub has, in the form of the management API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llamactl.models.hub.fit import Room, Sized, fit, recommended
from llamactl.models.hub.starters import Suited
from llamactl.schemas.models import ChoiceBody, RepositoryBody, StarterBody


def repository_body(seen: Mapping[str, Any], room: Room) -> RepositoryBody:
    rows: Sequence[Mapping[str, Any]] = sorted(seen["found"], key=lambda row: row["size"])
    best = recommended([Sized(row["quant"], row["size"]) for row in rows], room.total)
    return RepositoryBody(
        choices=[
            ChoiceBody(
                **row,
                fits=None if room.total is None else row["size"] <= room.total,
                fit=fit(row["size"], room.total),
                recommended=best is not None and best.at == index,
                reason=best.reason if best is not None and best.at == index else "",
            )
            for index, row in enumerate(rows)
        ],
        **{name: seen[name] for name in ("mmproj", "license", "modified")},
    )


def starter_body(one: Suited) -> StarterBody:
    it = one.starter
    return StarterBody(
        name=it.name, model=f"{it.repo}/{it.file}", repo=it.repo, size=it.size, memory=one.memory,
        fits=one.fits, slow=one.slow, license=it.license, released=it.released, purpose=it.purpose,
        source=it.source, checked=it.checked,
    )  # fmt: skip
