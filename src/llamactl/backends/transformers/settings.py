"""The section `transformers` of the settings."""

from __future__ import annotations

from llamactl.backends.declared import live
from llamactl.backends.settings import ARGS_ARE, COMMAND_IS, BackendSettings, Words


class TransformersSettings(BackendSettings):
    """Transformers: Hugging Face's `transformers serve`."""

    command: str = live("transformers", COMMAND_IS)
    args: Words = live(("serve",), ARGS_ARE)
