"""Who may have more, when many want it? The last quarter is kept for callers who have little. Pure.

Of places in a queue, of connections, of memory.

So nobody holds more than three quarters, and whatever one caller does, another's first request
finds room.
"""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv6Address, IPv6Network

_NETWORK = 64  # bits: one household or server has all addresses of an IPv6 network


def has_room(mine: int, all_: int, most: int) -> bool:
    """May a caller with `mine` of `all_` requests that wait add one? `most` may wait in all."""
    return all_ < at_most(mine + 1, most)


def at_most(mine: int, most: int) -> int:
    """How much all may have together if a caller with `mine` of it, the new part too, adds that."""
    kept = -(-most // 4)
    return most if mine <= kept else most - kept


def origin(address: str) -> str:
    """What counts as one caller, of those who show no key: an address, or an IPv6 network."""
    try:
        found = IPv6Address(address.partition("%")[0])
    except AddressValueError:
        return address
    mapped: IPv4Address | None = found.ipv4_mapped
    return str(mapped or IPv6Network((found, _NETWORK), strict=False).network_address)
