"""vLLM: its settings."""
