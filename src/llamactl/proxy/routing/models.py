"""The list of models: those that a caller may use."""

from __future__ import annotations

import json
from typing import Any, Final

from llamactl.core.errors import MethodNotAllowed, UnknownModel
from llamactl.core.keys import Caller
from llamactl.core.model import ModelInfo
from llamactl.core.routes import Route
from llamactl.policy.access.accept import prefers_html
from llamactl.proxy.http.client_connection import Downstream
from llamactl.proxy.http.heads import RequestHead
from llamactl.proxy.http.request import Request, json_answer
from llamactl.proxy.routing.endpoints import EndpointContext

_V1, _PLAIN = "/v1/models", "/models"  # the latter for clients whose base URL has no /v1


def is_list(head: RequestHead) -> bool:
    """Of models, or one of it; not the web page, which has one of those paths too."""
    path, accept = head.path, head.fields.get(b"accept", b"")
    return _is_at(_V1, path) or (shares_its_path(path) and not prefers_html(accept))


def shares_its_path(path: str) -> bool:
    """With the web page."""
    return _is_at(_PLAIN, path)


def _is_at(base: str, path: str) -> bool:
    return path.startswith(base) and path[len(base) : len(base) + 1] in ("", "/")


class ModelsEndpoint:
    """`GET /v1/models` and `/v1/models/{id}`, or both without `/v1`."""

    def __init__(self, context: EndpointContext, caller: Caller, head: RequestHead) -> None:
        """Raises MethodNotAllowed."""
        base = _V1 if _is_at(_V1, head.path) else _PLAIN
        if head.method not in (b"GET", b"HEAD"):
            raise MethodNotAllowed(f"{base} supports only GET")
        self._relay = context.relay
        self._lists_aliases = context.lists_aliases
        self._caller = caller
        self._name = head.path.removeprefix(base).strip("/")

    def open(self, down: Downstream, request: Request) -> None:
        said = self._one() if self._name else {"object": "list", "data": self._all()}
        down.answer(json_answer(200, said, request.extra))
        self._relay.metrics.answered(request, 200)

    def _all(self) -> list[dict[str, Any]]:
        routes = [r for r in self._relay.table.served() if self._caller.may_use(r.id)]
        listed = [self._entry(route, route.served_as) for route in routes]
        if self._lists_aliases:
            listed += (self._entry(r, alias) for r in routes for alias in r.also_served_as)
            listed.sort(key=lambda entry: entry["id"].lower())
        return listed

    def _one(self) -> dict[str, Any]:
        """Raises UnknownModel."""
        name = self._name
        route = self._relay.table.named(name)
        if route is None or not self._caller.may_use(route.instance_id):
            raise UnknownModel(f"there is no model named {name[:140]!r}")
        names = route.also_served_as if self._lists_aliases else ()
        alias = next((alias for alias in names if alias.lower() == name.lower()), "")
        return self._entry(route, alias or route.served_as)

    def _entry(self, route: Route, name: str) -> dict[str, Any]:
        shown = next(iter(self._relay.table.ready(route)), route)
        return _entry(route, name, shown.state)


def _entry(route: Route, name: str, state: str) -> dict[str, Any]:
    """The reference's four fields, then what other servers tell by the same names.

    `max_model_len`: vLLM; `context_length`: OpenRouter and LM Studio's kin; `meta`: llama-server.
    What is not known is left out.
    """
    info = route.offer.info
    context = {"context_length": info.context, "max_model_len": info.context}
    aliases = route.also_served_as if name == route.served_as else []
    return {
        "id": name, "object": "model", "created": route.created, "owned_by": "llamactl",
        **_known({"aliases": aliases, **context, "capabilities": [*info.capabilities]}),
        "state": state,
        **_known({"meta": _known(_meta(info))}),
    }  # fmt: skip


def _meta(info: ModelInfo) -> dict[str, Any]:
    return {
        "n_ctx": info.context, "n_ctx_train": info.trained_context, "n_embd": info.embedding,
        "n_layer": info.layers, "n_params": info.parameters, "size": info.size,
        "modified": info.modified, "architecture": info.architecture,
        "quantization": info.quantization,
    }  # fmt: skip


def _known(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value}


class ChatModelsEndpoint:
    """What our own page's chat can be had with."""

    def __init__(self, context: EndpointContext, caller: Caller, head: RequestHead) -> None:
        """Raises MethodNotAllowed."""
        if head.method not in (b"GET", b"HEAD"):
            raise MethodNotAllowed("the model list supports only GET")
        self._relay = context.relay
        self._caller = caller

    def open(self, down: Downstream, request: Request) -> None:
        found = [
            {"name": r.served_as,
             "ready": bool(self._relay.table.ready(r)),
             "sees_images": "vision" in r.offer.info.capabilities,
             "backend": r.backend,
             "sampling": _sampling(r)}
            for r in self._relay.table.served()
            if self._caller.may_use(r.id)
        ]  # fmt: skip
        down.answer(json_answer(200, found, [*request.extra, (b"cache-control", b"no-store")]))
        self._relay.metrics.answered(request, 200)


# what clients send as these names; other parameters of a definition are nobody's business here
_SAMPLING: Final = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "presence_penalty",
                    "frequency_penalty", "max_tokens")  # fmt: skip


def _sampling(route: Route) -> dict[str, dict[str, Any]]:
    """What applies where a request says nothing, and who says so.

    `set`: the definition, whatever a request has; `default`: the definition; `engine`.
    """
    found = {name: {"value": value, "by": "engine"} for name, value in route.offer.info.sampling}
    if filters := route.filters:
        for by, values in (("default", filters.defaults), ("set", filters.fixed)):
            for name in _SAMPLING:
                if name in values:
                    found[name] = {"value": json.loads(values[name]), "by": by}
    return found
