"""Any program that serves HTTP: what is not known of it, its options say."""

from llamactl.backends.command.backend import COMMAND

__all__ = ["COMMAND"]
