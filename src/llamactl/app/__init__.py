"""The composition root: everything is built once, with plain constructors, started and stopped."""

from llamactl.app.application import Application

__all__ = ["Application"]
