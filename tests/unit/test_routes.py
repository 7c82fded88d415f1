"""What a request calls its model, and where that leads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llamactl.core.errors import StoreUnavailable
from llamactl.core.filters import Filters
from llamactl.core.model import ModelInfo, Offer
from llamactl.core.routes import Route, RouteTable
from llamactl.policy.body.filters import apply

TWO = {"alpha": ModelInfo(context=1), "org/Beta:Q4": ModelInfo(context=2)}
ROUTER = Route("1", "r", 1, "llama_cpp", None, ("many",), offer=Offer(models=TWO, several=True))
PLAIN = Route("2", "plain", 1, "llama_cpp", None)


def table(*routes: Route) -> RouteTable:
    found = RouteTable()
    for route in routes:
        found = found.with_route(route)
    return found


def asked(routes: RouteTable, name: str) -> tuple[str, str] | None:
    route = routes.find(name)
    return None if route is None else (route.id, route.model)


@pytest.mark.parametrize(
    ("name", "leads"),
    [("r/alpha", ("1", "alpha")), ("R/ALPHA", ("1", "alpha")), ("r", ("1", "")),
     ("r/org/beta:q4", ("1", "org/Beta:Q4")), ("many/alpha", ("1", "alpha")), ("plain", ("2", "")),
     ("r/gamma", None), ("plain/alpha", None), ("r/", None), ("/alpha", None), ("alpha", None),
     ("r/r/alpha", None), ("r//alpha", None)],
)  # fmt: skip
def test_the_models_of_a_router_are_named_with_it(name: str, leads: tuple[str, str] | None) -> None:
    assert asked(table(ROUTER, PLAIN), name) == leads


@pytest.mark.parametrize("order", [1, -1])
def test_an_alias_of_that_very_name_counts_more(order: int) -> None:
    other = replace(PLAIN, aliases=("R/Alpha",))

    routes = table(*[ROUTER, other][::order])

    assert asked(routes, "r/alpha") == ("2", "")
    assert [r.served_as for r in routes.served()] == ["plain", "r/org/Beta:Q4"]


def test_of_names_that_differ_by_case_the_first_one_counts() -> None:
    offer = Offer(models={"A": ModelInfo(), "a": ModelInfo()}, several=True)
    routes = table(replace(ROUTER, offer=offer))

    assert asked(routes, "r/a") == ("1", "A")
    assert [r.served_as for r in routes.served()] == ["r/A"]


def test_a_router_of_which_nothing_is_known_is_asked_for_any_model() -> None:
    routes = table(replace(ROUTER, offer=Offer(several=True)), PLAIN)

    assert asked(routes, "r/what/ever") == ("1", "what/ever")
    assert asked(routes, "plain/what") is None
    assert [r.served_as for r in routes.served()] == ["plain", "r"]


def test_each_is_listed_once_and_goes_with_its_instance() -> None:
    routes = table(ROUTER, PLAIN)
    assert [r.served_as for r in routes.served()] == ["plain", "r/alpha", "r/org/Beta:Q4"]

    fewer = routes.with_route(replace(ROUTER, offer=Offer(models={"c": ModelInfo()}, several=True)))
    assert [r.served_as for r in fewer.served()] == ["plain", "r/c"]
    assert asked(fewer, "r/alpha") is None

    alone = fewer.with_route(replace(ROUTER, offer=Offer()))
    assert [r.served_as for r in alone.served()] == ["plain", "r"]
    assert not routes.without("r").find("r/alpha")


def test_the_engine_gets_its_own_name_of_the_model() -> None:
    route = table(ROUTER).find("r/org/beta:q4")

    assert route is not None and route.filters is not None
    body = b'{ "messages": [], "model" : "r/org/beta:q4", "n": {"model": "x"} }'
    assert apply(route.filters, body) == (
        b'{ "messages": [], "model" : "org/Beta:Q4", "n": {"model": "x"} }'
    )
    assert route.offer.info.context == 2


def test_what_nobody_knows_yet_is_not_missing() -> None:
    with pytest.raises(StoreUnavailable):
        RouteTable(complete=False).find("r/alpha")


def test_only_what_is_listed_is_a_model() -> None:
    routes = table(ROUTER, PLAIN)
    unknown = table(replace(ROUTER, offer=Offer(several=True)))

    assert routes.named("r") is None
    assert routes.named("r/gamma") is None
    assert unknown.named("r/what") is None
    for name in ("R/alpha", "many/alpha", "plain"):
        assert routes.named(name) in routes.served()
    assert unknown.named("r") in unknown.served()


def test_no_router_is_asked_for_a_name_that_no_model_can_have() -> None:
    """A client chooses it, and parts of the data path remember it."""
    unknown = table(replace(ROUTER, offer=Offer(several=True)))

    assert asked(unknown, "r/" + "a" * 512) == ("1", "a" * 512)
    assert asked(unknown, "r/" + "a" * 513) is None


def test_adapters_are_named_with_their_instance_which_is_a_model_itself() -> None:
    offer = Offer(ModelInfo(context=9), {"ad": ModelInfo(context=9)})
    routes = table(replace(ROUTER, offer=offer), PLAIN)

    assert [asked(routes, n) for n in ("r", "r/ad", "MANY/ad")] == [
        ("1", ""), ("1", "ad"), ("1", "ad")
    ]  # fmt: skip
    assert asked(routes, "r/none") is None
    assert [route.served_as for route in routes.served()] == ["plain", "r", "r/ad"]
    found = routes.find("r/ad")
    assert found is not None and found.wanted_model == "ad"
    without = routes.with_route(replace(ROUTER, offer=Offer()))
    assert asked(without, "r/ad") is None


def test_a_name_that_is_put_in_gives_way_to_those_that_may_stay() -> None:
    filters = Filters().naming("base", ["ad", "ä"])

    def sent(body: str) -> str:
        return apply(filters, body.encode()).decode()

    assert sent('{"model": "v", "n": 1}') == '{"model": "base", "n": 1}'
    assert sent('{"model": "ad", "n": 1}') == '{"model": "ad", "n": 1}'
    assert sent('{"model": "ä"}') == '{"model": "ä"}'
    assert sent('{"n": "ad"}') == '{"n": "ad","model":"base"}'
