"""What a running vLLM says of itself, and does for others."""
