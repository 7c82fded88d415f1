"""Who has a port at loopback, as the kernel's tables say."""

from __future__ import annotations

import os
import socket
from collections.abc import Generator

import pytest

from llamactl.node.process.ports import listens_on, owner_of


@pytest.fixture
def port() -> Generator[int]:
    """Somebody listens on it, at an address where no engine is looked for."""
    with socket.create_server(("127.0.0.2", 0)) as other:
        yield other.getsockname()[1]


async def test_the_same_port_at_another_address_is_not_the_engines(port: int) -> None:
    assert owner_of(port) is None
    assert not listens_on(port, [os.getpid()])


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
async def test_the_engines_is_found_beside_it(address: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET

    with socket.create_server((address, port), family=family, dualstack_ipv6=":ffff" in address):
        assert owner_of(port) == os.getpid()
        assert listens_on(port, [os.getpid()])


@pytest.mark.parametrize(("address", "family"), [("::", 10), ("0.0.0.0", 2)])
async def test_one_that_listens_at_all_addresses_is_found(address: str, family: int) -> None:
    with socket.create_server((address, 0), family=family) as own:
        assert owner_of(own.getsockname()[1]) == os.getpid()
