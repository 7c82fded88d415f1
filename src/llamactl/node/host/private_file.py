"""Files that only our user may read, written as a unit."""

from __future__ import annotations

import os
from pathlib import Path


def write_private(path: Path, data: bytes, *, synced: bool = False) -> None:
    """All of it or nothing. `synced`: it is on the disk when this returns. Raises OSError."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        if synced:
            file.flush()
            os.fsync(file.fileno())
    part.replace(path)
