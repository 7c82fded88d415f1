"""Engines in containers, by Docker or Podman: created held back, started, watched, removed."""
