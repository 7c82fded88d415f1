"""The process that downloads a model; see `downloads.py`, which starts it."""

from __future__ import annotations

import json
import sys

from llamactl.core.errors import HubUnreachable
from llamactl.models.hub.reach import check_reachable


def main() -> None:
    spec = json.loads(sys.stdin.readline())
    try:
        check_reachable()
    except HubUnreachable as exc:
        failed = {"event": "failed", "error": f"cannot download {spec['model']}: {exc.message}"}
        sys.stdout.write(json.dumps(failed) + "\n")
        return
    from llamactl.models.downloads.fetch import main as fetch

    fetch(spec)


if __name__ == "__main__":
    main()
