"""Contexts that outlive their engines: files, what they fit, and the engines' part in it."""
