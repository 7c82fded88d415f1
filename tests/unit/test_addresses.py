"""Which addresses a server says that it can be reached by."""

from __future__ import annotations

import socket

import pytest

from llamactl.cli.addresses import addresses, reachable, urls_of

LOCAL = ["127.0.0.1", "192.168.1.5", "::1", "fd00::2"]


@pytest.mark.parametrize(
    ("bound", "local", "names", "then"),
    [
        ("127.0.0.1", LOCAL, [], ["127.0.0.1", "localhost"]),
        ("127.0.0.2", LOCAL, [], ["127.0.0.2"]),
        ("::1", LOCAL, [], ["::1", "localhost"]),
        ("192.168.1.5", LOCAL, ["box.lan"], ["192.168.1.5", "box.lan"]),
        ("0.0.0.0", LOCAL[:2], ["box.lan", "localhost"],
         ["127.0.0.1", "localhost", "192.168.1.5", "box.lan"]),
        ("::", LOCAL, [], ["127.0.0.1", "::1", "localhost", "192.168.1.5", "fd00::2"]),
    ],
)  # fmt: skip
def test_hosts_that_reach_a_server(
    bound: str, local: list[str], names: list[str], then: list[str]
) -> None:
    assert reachable(bound, local, names) == then


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_urls_are_those_that_answer(host: str) -> None:
    with socket.create_server(
        (host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET
    ) as listener:
        port = listener.getsockname()[1]
        urls = urls_of(listener, ["box.lan"])

        assert urls[0] == f"http://{f'[{host}]' if ':' in host else host}:{port}"
        assert urls[-1] == f"http://box.lan:{port}"
        socket.create_connection((host, port), timeout=10).close()


def test_this_machines_addresses_are_known() -> None:
    found = addresses()

    assert "127.0.0.1" in found and "0.0.0.0" not in found
    for address in found:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        socket.create_server((address, 0), family=family).close()  # which only our own allow
