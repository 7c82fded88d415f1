"""Parameters that several routes have."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

Name = Annotated[str, Path(description="name or alias of the instance")]
JobId = Annotated[str, Path(description="ID of the download")]
Limit = Annotated[int, Query(ge=1, le=1000, description="maximum number of results")]
