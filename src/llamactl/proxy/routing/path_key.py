"""A key in a path, `/k/KEY/…`, for programs that can't send headers.

A path is seen by proxies, histories and process lists, so such a key may little. `heads.py` takes
it out of the path, which nobody sees with it again.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from llamactl.core.errors import Forbidden, NotFound
from llamactl.core.keys import Caller
from llamactl.policy.access.rules import KeyRing
from llamactl.proxy.http.heads import RequestHead

_FROM_BROWSER = frozenset(
    {b"origin", b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest", b"sec-fetch-user"}
)


def check_path_key(
    head: RequestHead, shown: Caller | None, keys: KeyRing, paths: AbstractSet[str]
) -> None:
    """`shown`: whose key it is. `paths`: where it counts, beside /v1.

    Raises Forbidden, Unauthenticated or NotFound.
    """
    if not _FROM_BROWSER.isdisjoint(head.fields):
        raise Forbidden("a browser may not send a key in the path; send it in a header")
    if shown is None or shown.key is None:
        raise keys.stranger(
            "the key in the path is not an inference key, or is unknown, expired or revoked; "
            "create one with `llamactl keys create`"
        )
    if head.websocket or not (head.path.startswith("/v1/") or head.path in paths):
        raise NotFound(
            "a key in the path is valid only for Ollama's paths and /v1; send it in a header"
        )
