"""Ollama's API: https://github.com/ollama/ollama/blob/main/docs/api.md

`asking.py` turns its requests into OpenAI's form, `answering.py` the answers back; `router.py`
has the paths.
"""

from llamactl.doors.ollama.router import INFERENCE, WITH_KEY, ollama_router

__all__ = ["INFERENCE", "WITH_KEY", "ollama_router"]
