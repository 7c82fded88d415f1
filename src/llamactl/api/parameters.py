"""Parameters that several routes have."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

Name = Annotated[str, Path(description="the instance's name, or one of its aliases")]
JobId = Annotated[str, Path(description="the download's id")]
Limit = Annotated[int, Query(ge=1, le=1000, description="how many at most")]
