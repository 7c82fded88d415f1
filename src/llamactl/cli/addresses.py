"""Where a server that listens can be reached."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

# https://docs.kernel.org/networking/fib_trie.html
_IPV4 = re.compile(r"\|-- (\S+)\n\s+/32 host LOCAL")
_LINK = "20"  # a scope of /proc/net/if_inet6: such an address needs its interface's name


def urls_of(listener: socket.socket, names: Sequence[str]) -> list[str]:
    """All that work, the one for this machine first. `names`: that may stand in Host."""
    bound, port = listener.getsockname()[:2]
    only_6 = listener.family is socket.AF_INET6 and listener.getsockopt(
        socket.IPPROTO_IPV6, socket.IPV6_V6ONLY
    )
    families = {":"} if only_6 else {":", "."} if ":" in bound else {"."}
    local = [one for one in addresses() if (":" if ":" in one else ".") in families]
    return [f"http://{_host(one)}:{port}" for one in reachable(bound, local, names)]


def reachable(bound: str, local: Sequence[str], names: Sequence[str]) -> list[str]:
    """Hosts by which it is reached. `local`: this machine's addresses."""
    is_wild = ipaddress.ip_address(bound).is_unspecified
    found = local if is_wild else [bound]
    loopback = [one for one in found if ipaddress.ip_address(one).is_loopback]
    alias = ["localhost"] if {"127.0.0.1", "::1"} & {*loopback} else []
    return [*dict.fromkeys([*loopback, *alias, *found, *names])]


def addresses() -> list[str]:
    """Of this machine, IPv4 before IPv6."""
    found: list[str] = []
    with suppress(OSError):
        found += _IPV4.findall(Path("/proc/net/fib_trie").read_text(encoding="ascii"))
    with suppress(OSError):
        rows = Path("/proc/net/if_inet6").read_text(encoding="ascii").splitlines()
        parts = [row.split() for row in rows]
        found += [str(ipaddress.IPv6Address(bytes.fromhex(p[0]))) for p in parts if p[3] != _LINK]
    return [*dict.fromkeys(found)] or ["127.0.0.1"]


def _host(text: str) -> str:
    return f"[{text}]" if ":" in text else text
