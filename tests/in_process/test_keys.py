"""Inference keys: what is made counts at once, and what is revoked never counts again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast

import pytest

from llamactl.control.access.keys import Keys
from llamactl.control.access.revocations import Revocations
from llamactl.core.errors import (
    InstanceNotFound,
    InvalidRequest,
    KeyNotFound,
    StoreUnavailable,
)
from llamactl.core.keys import ApiKey, PermissionMode, Revocation
from llamactl.policy.access.rules import KeyRing
from support.control_path import ControlPath

ALL, SOME = PermissionMode.ALLOW_ALL, PermissionMode.PER_INSTANCE


class KeysInMemory:
    def __init__(self) -> None:
        self.rows: dict[str, ApiKey] = {}
        self.touched: list[dict[str, int]] = []
        self.away = False

    def _write(self) -> None:
        if self.away:
            raise StoreUnavailable("the store can't be written; try again later")

    async def load(self) -> Sequence[ApiKey]:
        return [*self.rows.values()]

    async def add(self, key: ApiKey) -> None:
        self._write()
        self.rows[key.id] = key

    async def remove(self, key_id: str) -> None:
        self._write()
        self.rows.pop(key_id, None)

    async def touch(self, last_used: dict[str, int]) -> None:
        self._write()
        self.touched.append(last_used)


class FileInMemory:
    def __init__(self) -> None:
        self.kept: list[Revocation] = []

    def open(self) -> Sequence[Revocation]:
        return [*self.kept]

    def add(self, revocation: Revocation) -> bool:
        self.kept.append(revocation)
        return True

    def discard(self, revocation: Revocation) -> None:
        self.kept.remove(revocation)

    def close(self) -> None: ...


class Site:
    """One llamactl after the other, over the same store and file."""

    def __init__(self) -> None:
        self.store, self.file = KeysInMemory(), FileInMemory()
        self.control = ControlPath()
        self.begin()

    def begin(self) -> None:
        self.ring = KeyRing(["manager"])
        self.revocations = Revocations(
            self.ring, cast(Any, self.store), cast(Any, None), cast(Any, self.file)
        )
        self.keys = Keys(self.ring, cast(Any, self.store), self.control.registry, self.revocations)

    async def restart(self) -> None:
        self.begin()
        await self.revocations.load()
        await self.keys.load()

    def admits(self, token: str) -> bool:
        return self.ring.identify(token, time.time()) is not None


async def test_a_key_that_was_made_is_let_in_and_its_secret_is_kept_nowhere() -> None:
    site = Site()
    key, token = await site.keys.create("mine", ALL, [], None)

    assert site.admits(token) and not site.admits(key.id) and not site.admits(token + "x")
    assert token.split(".")[1] not in repr(site.store.rows)
    assert site.keys.get(key.id) == key and site.keys.all() == [key]
    await site.restart()
    assert site.admits(token)


async def test_a_key_may_use_the_instances_it_was_made_for() -> None:
    site = Site()
    one = await site.control.create("one", start=False, aliases=["other"])
    await site.control.create("two", start=False)
    key, _ = await site.keys.create("mine", SOME, ["other"], None, priority=2)

    assert (key.instance_ids, key.priority) == (frozenset({one.instance.id}), 2)
    assert site.keys.names(key) == ["one"]
    await site.control.definitions.delete("one", force=False)
    assert site.keys.names(key) == []


@pytest.mark.parametrize(
    ("mode", "instances", "expires_in", "error"),
    [(ALL, [], -1, InvalidRequest), (ALL, ["one"], None, InvalidRequest),
     (SOME, ["none"], None, InstanceNotFound)],
)  # fmt: skip
async def test_a_key_that_makes_no_sense_is_not_made(
    mode: PermissionMode, instances: list[str], expires_in: int | None, error: type[Exception]
) -> None:
    site = Site()
    await site.control.create("one", start=False)
    expires = None if expires_in is None else int(time.time()) + expires_in
    with pytest.raises(error):
        await site.keys.create("mine", mode, instances, expires)
    assert (site.keys.all(), site.store.rows) == ([], {})


async def test_a_key_that_could_not_be_kept_lets_nobody_in() -> None:
    site = Site()
    site.store.away = True
    with pytest.raises(StoreUnavailable):
        await site.keys.create("mine", ALL, [], None)
    assert site.keys.all() == []


async def test_a_revoked_key_is_gone_at_once_and_for_good() -> None:
    site = Site()
    key, token = await site.keys.create("mine", ALL, [], None)
    done = await site.keys.revoke(key.id)

    assert (done.persisted, site.admits(token)) == (True, False)
    assert (site.store.rows, site.file.kept) == ({}, [])
    with pytest.raises(KeyNotFound):
        site.keys.get(key.id)
    with pytest.raises(KeyNotFound):
        await site.keys.revoke(key.id)
    await site.restart()
    assert not site.admits(token)


async def test_a_key_is_revoked_while_the_store_is_away_and_stays_so_after_a_restart() -> None:
    site = Site()
    key, token = await site.keys.create("mine", ALL, [], None)
    site.store.away = True
    done = await site.keys.revoke(key.id)
    again = await site.keys.revoke(key.id)

    assert (done.persisted, done.survives_restart) == (False, True)
    assert again == done, "whoever asks again hears the same"
    assert not site.admits(token) and site.keys.is_revoked(key.id)
    assert site.keys.get(key.id) == key, "the store still has it"
    await site.restart()
    assert not site.admits(token)
    assert site.keys.all() == [] and site.keys.get(key.id) == key

    site.store.away = False
    await site.revocations.write_pending()
    await site.revocations.written()
    assert (site.store.rows, site.file.kept) == ({}, [])
    assert not site.keys.is_revoked(key.id)
    with pytest.raises(KeyNotFound):
        site.keys.get(key.id)


async def test_when_a_key_was_used_last_is_shown_at_once_and_written_in_batches() -> None:
    site = Site()
    (key, _), (idle, _) = [await site.keys.create(n, ALL, [], None) for n in ("mine", "idle")]
    await site.keys.flush()
    assert site.store.touched == []
    site.ring.used[key.id] = 77
    assert site.keys.get(key.id).last_used_at == 77
    await site.keys.flush()

    assert site.store.touched == [{key.id: 77}]
    assert (site.keys.get(key.id).last_used_at, site.keys.get(idle.id).last_used_at) == (77, None)
    site.store.away = True
    site.ring.used[key.id] = 78
    await site.keys.flush()
    assert site.keys.get(key.id).last_used_at == 78, "it counts here, if it is not kept"


async def test_a_key_that_was_revoked_after_its_use_does_not_come_back_by_it() -> None:
    site = Site()
    key, token = await site.keys.create("mine", ALL, [], None)
    site.ring.used[key.id] = 77
    await site.keys.revoke(key.id)
    await site.keys.flush()

    assert site.keys.all() == [] and not site.admits(token)
