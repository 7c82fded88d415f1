"""Proxy processes that are left behind are found; what is left of others is removed."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from llamactl.link.messages import encode
from llamactl.link.proxy_news import ListenerGiven
from llamactl.proxy_process.meeting_place import MeetingPlace


def test_nobody_is_found_where_there_is_no_folder(tmp_path: Path) -> None:
    place = MeetingPlace(tmp_path / "none")

    assert not place.is_used
    assert [*place.find()] == []
    assert place.listener(("127.0.0.1", 1)) is None


def test_those_that_live_are_found_below_a_long_path(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    place = MeetingPlace(folder / "proxies")
    place.open("gone").close()

    with place.open("lives"):
        found = [*place.find()]

    assert [name for name, _ in found] == ["lives"]
    assert [path.name for path in place.folder.iterdir()] == ["lives"]
    assert place.folder.stat().st_mode & 0o777 == 0o700
    for _, end in found:
        end.close()


def test_one_that_takes_nobody_is_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llamactl.proxy_process.meeting_place._ANSWER_S", 0.05)
    place = MeetingPlace(tmp_path / "proxies")
    with place.open("stopped"):
        taken = [end for _ in range(20) for _, end in place.find()]

        assert 0 < len(taken) < 20  # its queue is full
        assert place.is_used
    for end in taken:
        end.close()


def given(place: MeetingPlace, listener: socket.socket, address: tuple[str, int]) -> bool:
    """Does somebody who asks for that address get this listener?"""
    with place.open("lives") as meeting:

        def answer() -> None:
            come, _ = meeting.accept()
            with come:
                come.recv(1 << 16)
                socket.send_fds(come, [encode(ListenerGiven())], [listener.fileno()])
                come.recv(1)

        answering = threading.Thread(target=answer)
        answering.start()
        found = place.listener(address)
        answering.join()
        place.remove("lives")
    if found is None:
        return False
    same: bool = found.getsockname() == listener.getsockname()
    found.close()
    return same


def test_its_listening_socket_is_taken_over_at_the_same_address_only(tmp_path: Path) -> None:
    place = MeetingPlace(tmp_path / "proxies")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()

        assert given(place, listener, (host, port))
        assert not given(place, listener, (host, port + 1))
        assert not given(place, listener, ("127.0.0.2", port))
