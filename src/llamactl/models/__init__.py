"""Model files: what their headers say."""

from llamactl.models.gguf import GgufReader, UnreadableModel, read_gguf

__all__ = ["GgufReader", "UnreadableModel", "read_gguf"]
