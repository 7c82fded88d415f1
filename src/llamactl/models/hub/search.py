"""The process that asks the hub what there is: a search, or the models of one repository.

Reads one line of JSON, writes one, and ends. The hub's API: https://huggingface.co/docs/hub/api
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx2

from llamactl.core.errors import HubUnreachable
from llamactl.models.hub.reach import WHAT_TO_DO, check_reachable, endpoint, unreachable, within
from llamactl.models.naming import RemoteFile, choices, projector

_MOST = 30
_LIMIT_S = 3.6  # of waiting for the hub: with what starting up takes, its user waits for under 5 s
_LEAST_S = 0.5  # for an answer, however long it took to reach the hub
_LARGEST = 8 << 20  # bytes of an answer; a repository with thousands of files has less
_TOO_MANY, _BROKEN = 429, 500
# Headers that describe the body as it came, not as it is now.
_OF_TRANSFER = ("content-encoding", "content-length", "transfer-encoding")
_SHOWN = ("downloads", "likes", "gated", "tags", "lastModified")


def main() -> None:
    spec = json.loads(sys.stdin.readline())
    try:
        began = time.monotonic()
        check_reachable()
        said = _ask(spec, max(_LEAST_S, _LIMIT_S - (time.monotonic() - began)))
    except HubUnreachable as exc:
        said = {"error": exc.message, **exc.details}
    sys.stdout.write(json.dumps(said) + "\n")


def _ask(spec: Mapping[str, str], limit_s: float) -> dict[str, Any]:
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
    )

    try:
        if "repo" in spec:
            return _repository(spec["repo"], limit_s)
        return _search(spec["query"], limit_s)
    except GatedRepoError:
        return {"error": "it is gated: accept its terms on the hub, then set HF_TOKEN"}
    except RepositoryNotFoundError:
        return {"error": "the hub has no such repository, or HF_TOKEN has no access to it"}
    except HfHubHTTPError as exc:
        return {"error": f"cannot query the hub: {str(exc).splitlines()[0][:300]}"}
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise _strange() from exc


def _search(query: str, limit_s: float) -> dict[str, Any]:
    given = {"search": query, "filter": "gguf", "sort": "downloads", "limit": _MOST}
    rows = _get("models", {**given, "expand": list(_SHOWN)}, limit_s)
    return {
        "found": [
            {"repo": str(row["id"]), "downloads": row.get("downloads") or 0,
             "likes": row.get("likes") or 0, "gated": bool(row.get("gated")), **_facts(row)}
            for row in rows
        ]
    }  # fmt: skip


def _repository(repo: str, limit_s: float) -> dict[str, Any]:
    info = _get(f"models/{repo}", {"blobs": "true"}, limit_s)
    files = [RemoteFile(f["rfilename"], f.get("size") or 0) for f in info.get("siblings") or ()]
    return {
        "found": [
            {"quant": c.quant, "file": c.files[0].path, "size": c.size, "parts": len(c.files)}
            for c in choices(files)
        ],
        "mmproj": projector(files) is not None,
        **_facts(info),
    }


def _facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """The licence and the date of a repository, as far as the hub says them."""
    tags = [str(tag) for tag in row.get("tags") or ()]
    changed = str(row.get("lastModified") or "")
    return {
        "license": next((t.removeprefix("license:") for t in tags if t.startswith("license:")), ""),
        "modified": datetime.fromisoformat(changed).timestamp() if changed else None,
    }


def _get(path: str, query: Mapping[str, Any], limit_s: float) -> Any:
    """Raises HubUnreachable, and HfHubHTTPError if it refuses."""
    from huggingface_hub import get_token
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented, not declared
        hf_raise_for_status,
    )

    # not its build_hf_headers: that may itself ask the hub for something first, without a limit
    token = get_token()
    headers = {"authorization": f"Bearer {token}"} if token else {}
    url = f"{endpoint()}/api/{path}"
    response = within(limit_s, lambda: _answer(url, query, headers))
    if response.status_code == _TOO_MANY:
        after = response.headers.get("retry-after", "")
        wait = f"wait {after} s" if after.isdigit() else "wait a few minutes"
        raise unreachable(
            "rate_limited", "it has had too many requests from here (429)",
            f"{wait}, or set HF_TOKEN, which has a higher limit",
        )  # fmt: skip
    if response.status_code >= _BROKEN:
        raise unreachable(
            "status", f"it answers with {response.status_code}", f"retry later, or {WHAT_TO_DO}"
        )
    hf_raise_for_status(response)
    try:
        return json.loads(response.content)
    except ValueError as exc:
        raise _strange() from exc


def _answer(url: str, query: Mapping[str, Any], headers: Mapping[str, str]) -> httpx2.Response:
    """With at most so many bytes of its body: a proxy may answer with anything."""
    with (
        httpx2.Client(follow_redirects=True, timeout=_LIMIT_S) as client,
        client.stream("GET", url, params=query, headers=dict(headers)) as response,
    ):
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > _LARGEST:
                raise unreachable("too_large", f"its answer is larger than {_LARGEST >> 20} MiB")
        return httpx2.Response(
            response.status_code, request=response.request, content=bytes(body),
            headers=[(k, v) for k, v in response.headers.items() if k not in _OF_TRANSFER],
        )  # fmt: skip


def _strange() -> HubUnreachable:
    return unreachable(
        "not_json", "what answers there is not the hub's API, such as a proxy's sign-in page"
    )


if __name__ == "__main__":
    main()
