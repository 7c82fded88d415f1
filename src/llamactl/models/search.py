"""The process that asks the hub what there is: a search, or the models of one repository.

Reads one line of JSON, writes one, and ends.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import httpx2

from llamactl.core.errors import HubUnreachable
from llamactl.models.naming import RemoteFile, choices, projector
from llamactl.models.reach import check_reachable

_MOST = 30


def main() -> None:
    spec = json.loads(sys.stdin.readline())
    try:
        check_reachable()
        said = _ask(spec)
    except HubUnreachable as exc:
        said = {"error": exc.message}
    sys.stdout.write(json.dumps(said) + "\n")


def _ask(spec: Mapping[str, str]) -> dict[str, Any]:
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
    )

    try:
        return _repository(spec["repo"]) if "repo" in spec else _search(spec["query"])
    except GatedRepoError:
        return {"error": "it is gated: accept its terms on the hub, then set HF_TOKEN"}
    except RepositoryNotFoundError:
        return {"error": "the hub has no such repository, or HF_TOKEN has no access to it"}
    except (HfHubHTTPError, httpx2.HTTPError, OSError, ValueError) as exc:
        return {"error": f"cannot query the hub: {str(exc).splitlines()[0][:300]}"}


def _search(query: str) -> dict[str, Any]:
    from huggingface_hub import HfApi

    found = HfApi().list_models(search=query, filter="gguf", sort="downloads", limit=_MOST)
    return {
        "found": [
            {"repo": m.id, "downloads": m.downloads or 0, "likes": m.likes or 0,
             "gated": bool(m.gated)}
            for m in found
        ]
    }  # fmt: skip


def _repository(repo: str) -> dict[str, Any]:
    from huggingface_hub import HfApi

    info = HfApi().model_info(repo, files_metadata=True)
    files = [RemoteFile(f.rfilename, f.size or 0) for f in info.siblings or ()]
    return {
        "found": [
            {"quant": c.quant, "file": c.files[0].path, "size": c.size, "parts": len(c.files)}
            for c in choices(files)
        ],
        "mmproj": projector(files) is not None,
    }


if __name__ == "__main__":
    main()
