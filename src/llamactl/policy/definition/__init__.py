"""Definitions of instances: read, checked, confined, compared."""
