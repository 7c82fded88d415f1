"""A process that relays requests is killed, or stands still: only its clients notice."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path

from support.fake_engine import create_fake, raw, tell, to_end
from support.proxies import TWO, ask_once, stream, until_proxies
from support.served import data_folder, serve


def test_only_its_clients_are_cut_and_another_takes_its_place(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, TWO)) as server, ExitStack() as stack:
        made = create_fake(server, tmp_path, "one")
        clients = [stack.enter_context(raw(server)) for _ in range(16)]
        by = {client: stream(server, client, "one") for client in clients}
        pids = until_proxies(server.process.pid)
        server.until_leased("one", 16)
        os.kill(pids[0], signal.SIGKILL)
        until_proxies(server.process.pid, but=(pids[0],))
        lives = server.until_row("one", "fewer leases", lambda row: 0 < row["leases"] < 16)
        assert {ask_once(server, "one") for _ in range(16)}
        tell(made, "go")
        ends = {client: to_end(client).endswith(b"0\r\n\r\n") for client in clients}
        assert list(ends.values()).count(True) == lives["leases"]
        assert len({by[client] for client, well in ends.items() if well}) == 1
        assert len({by[client] for client, well in ends.items() if not well}) == 1
        server.until_leased("one", 0)


def test_one_that_stands_still_keeps_no_new_client_waiting(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, TWO)) as server:
        create_fake(server, tmp_path, "one")
        first, *_ = until_proxies(server.process.pid)
        os.kill(first, signal.SIGSTOP)
        try:
            seen = {ask_once(server, "one") for _ in range(16)}
        finally:
            os.kill(first, signal.SIGCONT)

        assert len(seen) == 1
