"""Other ids of one loaded model, each with parameters of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llamactl.core.errors import InvalidRequest, NameTaken
from support.control_path import ControlPath
from support.data_path import CHAT, DataPath, data_path

VARIANTS = {
    "one:precise": {"set_params": {"temperature": 0}},
    "Team/creative": {"set_params": {"temperature": 1.2, "top_p": 0.9}},
}


async def seen_by_engine(there: DataPath, model: str, **more: Any) -> dict[str, Any]:
    number = len(there.engine.seen)
    answer = await there.ask("POST", CHAT, {"model": model, "messages": [], **more})
    assert answer.status == 200, answer.body
    found: dict[str, Any] = json.loads(there.engine.seen[number].body)
    return found


async def test_a_variant_sets_its_parameters_beside_those_of_all_requests() -> None:
    async with data_path() as there:
        await there.control.create(
            "one", variants=VARIANTS, set_params={"seed": 1}, default_params={"temperature": 0.7}
        )
        plain = await seen_by_engine(there, "one")
        precise = await seen_by_engine(there, "ONE:PRECISE", temperature=2, top_p=0.5)
        creative = await seen_by_engine(there, "Team/creative")

        assert (plain["temperature"], plain["seed"], "top_p" in plain) == (0.7, 1, False)
        assert (precise["temperature"], precise["top_p"], precise["seed"]) == (0, 0.5, 1)
        assert (creative["temperature"], creative["top_p"], creative["seed"]) == (1.2, 0.9, 1)
        assert len({seen.connection for seen in there.engine.seen}) == 1, "one process serves all"
        assert there.leases("one") == 0


async def test_an_answer_bears_the_id_of_the_variant() -> None:
    async with data_path() as there:
        await there.control.create("one", variants=VARIANTS)
        client, seen = await there.held("POST", CHAT, {"model": "one:precise"})
        seen.reply({"model": "one", "choices": []})

        assert (await client.answer()).json["model"] == "one:precise"


async def test_variants_are_listed_and_belong_to_their_instance() -> None:
    async with data_path() as there:
        await there.control.create("one", variants=VARIANTS, aliases=["other"])
        await there.control.create("two")
        everything = (await there.ask("GET", "/v1/models")).json["data"]
        key = there.add_key("limited", "two")

        assert [row["id"] for row in everything] == ["one", "one:precise", "Team/creative", "two"]
        assert everything[0]["aliases"] == ["other"] and "aliases" not in everything[1]
        assert (await there.ask("GET", "/v1/models/one:precise")).json["id"] == "one:precise"
        refused = await there.ask("POST", CHAT, {"model": "Team/creative"}, key=key)
        assert refused.status == 403
        listed = (await there.ask("GET", "/v1/models", key=key)).json["data"]
        assert [row["id"] for row in listed] == ["two"]


async def test_a_variant_starts_its_instance() -> None:
    async with data_path() as there:
        await there.control.create("one", start=False, variants=VARIANTS)

        assert (await seen_by_engine(there, "one:precise"))["temperature"] == 0
        assert there.control.state("one") == "ready"


async def test_changed_variants_count_at_once_and_restart_nothing() -> None:
    async with data_path() as there:
        await there.control.create("one", variants=VARIANTS)
        before = there.control.replica("one").pid
        changed = {"new": {"set_params": {"temperature": 3}}}
        await there.control.definitions.update("one", {"variants": changed}, wait=False)

        assert (await seen_by_engine(there, "new"))["temperature"] == 3
        assert (await there.ask("POST", CHAT, {"model": "one:precise"})).status == 404
        assert there.control.replica("one").pid == before
        await there.control.definitions.delete("one", force=False)
        assert (await there.ask("POST", CHAT, {"model": "new"})).status == 404


@pytest.mark.parametrize("taken", ["one", "ONE", "other", "two", "of-two", "two:v"])
async def test_names_aliases_and_variants_share_one_namespace(taken: str) -> None:
    there = ControlPath()
    await there.create("two", start=False, aliases=["of-two"], variants={"two:v": {}})
    body = {"variants": {taken: {}}, "aliases": ["other"]}
    with pytest.raises(NameTaken):
        await there.create("one", start=False, **body)
    await there.create("one", start=False)
    with pytest.raises(NameTaken):
        await there.definitions.update("one", body, wait=False)
    with pytest.raises(NameTaken):
        await there.create("two:v".replace(":", "-"), start=False, aliases=["TWO:V"])


@pytest.mark.parametrize(
    ("variants", "why"),
    [({"a b": {}}, "no spaces"), ({"a": 1}, "must be an object"), ([], "must be an object"),
     ({"a": {"set": {}}}, "has no field 'set'"), ({"a": {"set_params": 1}}, "must be an object"),
     ({"a": {}, "A": {}}, "differ only in case"), ({"": {}}, "at most 200"),
     ({f"v{n}": {} for n in range(101)}, "more than 100")],
)  # fmt: skip
async def test_what_is_no_variant_is_refused(variants: Any, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        await ControlPath().create("one", start=False, variants=variants)
