"""What a running llama-server says of itself, and does for others."""
