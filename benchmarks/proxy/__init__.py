"""`make bench-proxy`: what the data path costs, beside nginx and LiteLLM's proxy in one run."""
