"""What a proxy process is told of keys and instances is what the deciding process knows."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from llamactl.core.filters import Filters
from llamactl.core.instance import name_key
from llamactl.core.keys import ApiKey, PermissionMode
from llamactl.core.model import ModelInfo, Offer
from llamactl.core.routes import ReadyInstance, Route, RouteTable
from llamactl.link.control_news import AllKnown, KeysKnown, RouteChanged, RouteGone, RoutesKnown
from llamactl.link.messages import encode, heard_by_proxy
from llamactl.policy.access.rules import KeyRing
from llamactl.proxy_process.known_keys import message_of
from llamactl.proxy_process.relaying.mirror import Mirror

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
names = st.text("abcXYZ-0", min_size=1, max_size=4)
values = st.one_of(words, st.integers(), st.booleans(), st.none()).map(json.dumps)
filters = st.builds(
    Filters,
    strip=st.frozensets(words, max_size=3),
    defaults=st.dictionaries(words, values, max_size=3),
    fixed=st.dictionaries(words, values, max_size=3),
    synonyms=st.dictionaries(words, st.frozensets(words, max_size=2), max_size=2),
    models=st.frozensets(words.map(lambda w: json.dumps(w).encode()), max_size=2),
)
infos = st.builds(
    ModelInfo, capabilities=st.lists(words, max_size=2).map(tuple), context=st.integers(0, 1 << 40)
)
offers = st.builds(
    Offer, infos, models=st.dictionaries(names, infos, max_size=2), several=st.booleans()
)
ready = st.builds(
    ReadyInstance, names, st.just("127.0.0.1"), st.integers(1, 65535), names, st.integers(0, 9)
)
routes = st.builds(
    Route, id=names, name=names, created=st.integers(0, 1 << 40), backend=names,
    ready=st.none() | ready, filters=st.none() | filters, offer=offers,
    variants=st.dictionaries(names, st.none() | filters, max_size=2),
)  # fmt: skip
keys = st.builds(
    ApiKey, id=names, name=words, digest=st.binary(min_size=32, max_size=32),
    permission_mode=st.sampled_from(PermissionMode), instance_ids=st.frozensets(names, max_size=3),
    created_at=st.integers(0, 1 << 40), expires_at=st.none() | st.integers(0, 1 << 40),
    last_used_at=st.none(), priority=st.integers(0, 9),
)  # fmt: skip


def shown(route: Route) -> object:
    """All of it: filters are equal only to themselves."""
    by_name = {name: repr(one) for name, one in route.variants.items()}
    lines = route.ready.headers if route.ready else b""
    plain = replace(route, filters=None, variants={})
    return plain, _seen(route.filters), sorted(by_name), lines


def _seen(one: Filters | None) -> object:
    if one is None:
        return None
    return one.strip, one.defaults, one.fixed, one.synonyms, one.models, one.names


def mirror() -> Mirror:
    return Mirror(KeyRing(()), lambda table: None)


@given(st.lists(routes, max_size=4, unique_by=lambda r: name_key(r.name)))
def test_each_route_arrives_as_it_is(given: list[Route]) -> None:
    there = mirror()
    for message in (RoutesKnown(routes=given), AllKnown()):
        heard = heard_by_proxy(encode(message))
        assert isinstance(heard, RoutesKnown | AllKnown)
        there.hear(heard)

    assert [shown(route) for route in there.table.all()] == [
        shown(route) for route in sorted(given, key=lambda r: name_key(r.name))
    ]


@given(st.lists(keys, max_size=4, unique_by=lambda key: key.id), st.binary(max_size=32))
def test_each_key_arrives_as_it_is(given: list[ApiKey], management: bytes) -> None:
    there = mirror()
    said = KeysKnown(management=[management.hex()], keys=[message_of(key) for key in given])
    for message in (said, AllKnown()):
        heard = heard_by_proxy(encode(message))
        assert isinstance(heard, KeysKnown | AllKnown)
        there.hear(heard)

    assert {key.id: key for key in there.ring.all()} == {key.id: key for key in given}
    assert there.ring.management == {management}


moves = st.lists(st.one_of(routes, names), max_size=12)


@given(moves)
def test_changes_lead_to_the_same_table(given: list[Route | str]) -> None:
    there, table = mirror(), RouteTable()
    there.hear(AllKnown())
    for one in given:
        message: RouteChanged | RouteGone
        if isinstance(one, Route):
            message, table = RouteChanged(route=one), table.with_route(one)
        else:
            message, table = RouteGone(name=one), table.without(one)
        heard = heard_by_proxy(encode(message))
        assert isinstance(heard, RouteChanged | RouteGone)
        there.hear(heard)

    assert {k: shown(r) for k, r in there.table.routes.items()} == {
        k: shown(r) for k, r in table.routes.items()
    }
    assert there.table.models.keys() == table.models.keys()


@given(st.lists(routes, max_size=3, unique_by=lambda r: name_key(r.name)), routes)
def test_what_is_said_again_replaces_what_was_known_unless_it_is_incomplete(
    given: list[Route], other: Route
) -> None:
    there = mirror()
    there.hear(RoutesKnown(routes=given))
    there.hear(AllKnown())
    known = there.table
    there.begin()
    there.hear(RoutesKnown(routes=[other]))
    assert there.table is known  # until all is known
    there.hear(AllKnown(complete=False))
    assert there.table is known
    there.hear(RoutesKnown(routes=[other]))
    there.hear(AllKnown())

    assert [*there.table.routes] == [name_key(other.name)]
    assert there.ring.complete
