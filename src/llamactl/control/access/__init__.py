"""Keys, sessions, and what takes them away."""
