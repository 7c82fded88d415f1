"""Keeps inference servers running as named instances, and routes requests to them by model."""

__version__ = "0.1.0"
