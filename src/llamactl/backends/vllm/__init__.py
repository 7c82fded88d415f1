"""vLLM's OpenAI-compatible server."""

from llamactl.backends.vllm.backend import VLLM

__all__ = ["VLLM"]
