"""The process that decides is killed, and its proxy processes live."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx

from support.fake_engine import address, create_fake, raw, tell, to_end
from support.proxies import TWO, answered, ask_once, asked, connected, stream, until_proxies
from support.served import data_folder, serve, until_gone


def test_streams_go_on_and_what_is_ready_is_served_until_the_next_one_comes(
    tmp_path: Path,
) -> None:
    data = data_folder(tmp_path, TWO)
    with serve(data) as server, ExitStack() as stack:
        made = create_fake(server, tmp_path, "one")
        clients = [stack.enter_context(raw(server)) for _ in range(8)]
        for client in clients:
            stream(server, client, "one")
        kept = stack.enter_context(connected(server))
        asked(kept, server, answered("one"))
        pids = until_proxies(server.process.pid)
        server.kill()

        asked(kept, server, answered("one"))
        ask_once(server, "one")
        refused = httpx.get(f"{server.url}/api/v1/instances")
        assert (refused.status_code, refused.json()["code"]) == (503, "shutting_down")
        assert refused.headers["retry-after"] == "1"

        (data / "llamactl.yaml").write_text(f"{TWO[:-1]}, host: localhost}}")
        with serve(data, port=address(server)[1]) as following:
            assert address(following) == address(server)
            following.until_leased("one", 8)
            assert following.instance("one")["pid"] == made["pid"]
            asked(kept, following, answered("one"))
            tell(made, "go")
            for client in clients:
                assert to_end(client).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
            following.until_leased("one", 0)
            for pid in pids:
                until_gone(pid)
            asked(kept, following, answered("one"))


def test_a_model_that_nobody_has_started_waits_for_the_next_one(tmp_path: Path) -> None:
    data = data_folder(tmp_path, TWO)
    with serve(data) as server, ThreadPoolExecutor(1) as pool:
        create_fake(server, tmp_path, "one", start=False)
        server.kill()
        waits = pool.submit(ask_once, server, "one")
        with serve(data, port=address(server)[1]):
            assert waits.result(timeout=60)
