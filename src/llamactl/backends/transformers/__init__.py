"""Hugging Face's own server, `transformers serve`."""

from llamactl.backends.transformers.backend import TRANSFORMERS

__all__ = ["TRANSFORMERS"]
