"""What the request log has of each kind of end, in memory."""

from __future__ import annotations

from collections.abc import Sequence

from llamactl.control.records.request_log import LogEntry, RequestLog
from llamactl.core.ports.request_log import LoggedRequest, RequestsNow
from support.control_path import settle
from support.data_path import CHAT, DataPath, data_path
from support.settings import settings

ASKED = {"model": "one", "messages": [{"role": "user", "content": "a secret"}]}


class Source:
    """A data path of one process."""

    def __init__(self, there: DataPath) -> None:
        self._there = there

    async def requests(self) -> RequestsNow:
        return self._there.proxy.requests()

    async def cancel(self, request_id: str) -> int:
        return self._there.proxy.cancel(request_id)


def log_of(there: DataPath, size: int = 100) -> RequestLog:
    return RequestLog(Source(there), size)


async def ended(log: RequestLog) -> Sequence[LoggedRequest]:
    await log.running()
    return [entry.request for entry in log.after(0)]


async def test_an_answer_is_logged_with_what_it_took_and_without_its_content() -> None:
    async with data_path() as there:
        key = there.add_key("laptop")
        client, engine = await there.held("POST", CHAT, ASKED, key=key)
        engine.stream(b'data: {"choices":[{"delta":{"content":"a lie"}}]}\n\n')
        engine.chunk(b'data: {"usage":{"prompt_tokens":7,"completion_tokens":5}}\n\n')
        engine.chunk(b"")
        answer = await client.answer()

        (row,) = await ended(log_of(there))

        assert row.id == answer.headers["x-request-id"]
        assert (row.instance, row.key, row.key_id, row.sender) == ("one", "laptop", "laptop", "key")
        assert (row.method, row.path, row.model) == ("POST", CHAT, "one")
        assert (row.status, row.stage, row.complete, row.code) == (200, "over", True, "")
        assert (row.prompt_tokens, row.generated_tokens) == (7, 5)
        assert row.first_token_s is not None
        assert 0 <= row.first_token_s <= row.duration_s
        assert row.sent == len(answer.body)
        assert row.received > 0
        assert "secret" not in repr(row)
        assert "lie" not in repr(row)


async def test_each_end_says_why() -> None:
    async with data_path() as there:
        log = log_of(there)
        await there.control.create("one")
        await there.chat("two")
        await there.chat("one", key="wrong")
        client, engine = await there.held("POST", CHAT, ASKED)
        engine.stream(b"data: {}\n\n")
        await client.received(b"data: {}")
        client.leave()
        await there.until_free()

        rows = await ended(log)

        assert [(row.status, row.code, row.sender, row.instance) for row in rows] == [
            (404, "model_not_found", "management", ""),
            (401, "unauthenticated", "anyone", ""),
            (499, "", "management", "one"),
        ]
        assert "two" in rows[0].reason
        assert rows[2].sent > 0
        assert not rows[2].complete


async def test_what_runs_is_shown_and_can_be_cancelled_at_each_stage() -> None:
    async with data_path() as there:
        log = log_of(there)
        asking, _ = await there.held("POST", CHAT, ASKED, headers=("X-Request-Id: asking",))
        streaming, engine = await there.held(
            "POST", CHAT, ASKED, headers=("X-Request-Id: streaming",)
        )
        engine.stream(b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n')
        await streaming.received(b"content")
        reading = there.connect()
        begun = ("X-Request-Id: reading", "Content-Length: 100")
        reading.ask("POST", CHAT, b'{"model"', key="manager", headers=begun)

        running = await log.running()

        assert {(row.id, row.stage) for row in running} == {
            ("asking", "asking"), ("streaming", "answering"), ("reading", "reading")
        }  # fmt: skip
        assert all(row.status == (200 if row.id == "streaming" else None) for row in running)

        for name in ("asking", "streaming", "reading"):
            assert await log.cancel(name) == 1
        refused = [await asking.answer(), await reading.answer()]
        await streaming.received(b'"code":"cancelled"')

        assert [(one.status, one.json["code"]) for one in refused] == [(403, "cancelled")] * 2
        assert await log.running() == []
        assert {(row.id, row.code, row.status) for row in await ended(log)} == {
            ("asking", "cancelled", 403), ("streaming", "cancelled", 200),
            ("reading", "cancelled", 403),
        }  # fmt: skip
        await there.until_free()


async def test_one_that_waits_for_its_instance_can_be_cancelled() -> None:
    async with data_path() as there:
        log = log_of(there)
        there.control.node.loads = True
        await there.control.create("one", start=False)
        client = there.connect()
        client.ask("POST", CHAT, ASKED, key="manager", headers=("X-Request-Id: waits",))
        await settle()
        (row,) = await log.running()
        assert (row.instance, row.stage, row.status) == ("one", "waiting", None)

        assert await log.cancel("waits") == 1

        assert (await client.answer()).status == 403
        (row,) = await ended(log)
        assert (row.id, row.code, row.instance) == ("waits", "cancelled", "one")


async def test_strangers_drop_only_what_strangers_asked() -> None:
    async with data_path(settings("log", recent_requests=20)) as there:
        log = log_of(there, 20)
        await there.control.create("one")
        await there.chat("one")
        for number in range(60):
            await there.chat("one", key=f"wrong-{number}")
            if number == 30:
                await log.running()

        rows = await ended(log)

        assert [row.status for row in rows].count(200) == 1
        assert [row.status for row in rows].count(401) == 2


async def test_what_a_client_sends_is_cut() -> None:
    async with data_path() as there:
        await there.ask("GET", "/v1/" + "x" * 5000, headers=("X-Request-Id: " + "y" * 64,))
        await there.ask("POST", CHAT, {"model": "z" * 5000})

        rows = await ended(log_of(there))

        assert len(rows) == 2
        assert all(len(text) <= 210 for row in rows for text in (row.path, row.model, row.reason))


async def test_a_ticket_is_not_shown() -> None:
    async with data_path() as there:
        ticket = "t" * 43
        await there.ask("GET", f"/page/{ticket}/x/y")

        (row,) = await ended(log_of(there))

        assert row.path == "/page/…/x/y"


async def test_each_is_given_once_and_by_number() -> None:
    async with data_path() as there:
        log = log_of(there)
        for _ in range(3):
            await there.chat("none")
        await log.running()
        newest = log.newest
        await there.chat("none")
        await log.running()

        later: list[LogEntry] = log.after(newest)

        assert [entry.number for entry in log.after(0)] == [1, 2, 3, 4]
        assert [entry.number for entry in later] == [4]
        assert log.after(log.newest) == []


async def test_many_are_asked_for_in_parts() -> None:
    async with data_path() as there:
        log = log_of(there, 2000)
        client = there.connect()
        for _ in range(1203):
            client.ask("POST", CHAT, {"model": "none"}, key="manager")
            await client.answer()

        assert there.proxy.requests().more
        await log.running()

        assert len(log.after(0)) == 703
