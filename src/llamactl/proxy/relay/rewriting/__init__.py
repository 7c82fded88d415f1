"""Answers that do not go as they come: names, errors and paths in them."""
