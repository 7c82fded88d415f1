"""Writes the OpenAPI document that the page's types are made of."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, cast

from llamactl.api import Services, build_api
from llamactl.config import Settings


def document() -> dict[str, Any]:
    """Nothing stands behind it: only the routes are looked at."""
    nothing = [cast(Any, None)] * (len(Services.__slots__) - 1)
    return build_api(Services(Settings(), *nothing)).openapi()


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document(), indent=1, sort_keys=True) + "\n")
