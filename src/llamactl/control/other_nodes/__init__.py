"""Nodes on other machines: while they are away, when they are back, and taken out of service."""
