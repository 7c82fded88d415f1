"""What instances serve: read from their models' files, and asked of those that run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from llamactl.backends import backend_of
from llamactl.backends.model_rules import ModelRules
from llamactl.core.instance import InstanceOptions, OptionValue
from llamactl.core.model import NO_MODEL, ModelInfo, Offer
from llamactl.core.ports.node import EngineSettings
from llamactl.core.routes import ReadyInstance
from llamactl.node.engine.scrape import served_models

Read = Callable[[ModelRules, Mapping[str, OptionValue]], Offer]


async def offer_of(
    read: Read, given: InstanceOptions, settings: EngineSettings, ready: ReadyInstance | None
) -> Offer:
    """By its definition and the files as they are now; `read` may take its time.

    One that is ready is asked, too: its engine may have fitted the context to the memory.
    """
    backend, offer = backend_of(given.backend_type), NO_MODEL
    rules = backend.models
    if rules is not None:
        environment = {**settings.environment, **given.environment}
        options = rules.given(given.backend_options, settings.args, environment)
        offer = await asyncio.to_thread(read, rules, options)
    said = await served_models(ready) if ready is not None else {}
    if not offer.several:
        info = _better(offer.info, next(iter(said.values()))) if said else offer.info
        adapters = dict.fromkeys(backend.adapters(given.backend_options), info)
        return Offer(info, adapters)
    if not said:
        return offer
    models = {name: _better(offer.models.get(name, info), info) for name, info in said.items()}
    return replace(offer, models=models)


def _better(read: ModelInfo, said: ModelInfo) -> ModelInfo:
    return replace(
        read,
        capabilities=read.capabilities or said.capabilities,
        context=said.context or read.context,
        trained_context=read.trained_context or said.trained_context,
        size=read.size or said.size,
        parameters=read.parameters or said.parameters,
        embedding=read.embedding or said.embedding,
        sampling=said.sampling,
    )
