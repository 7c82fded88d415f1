"""From what people paste to a program and its words: shell, wrappers, containers, units. Pure.

It knows no engine's flags; `policy/definition/command_line.py` reads those.
"""

from llamactl.policy.pasted.command import Pasted, read_pasted, within, without_open
from llamactl.policy.pasted.shell import is_open, plain

__all__ = ["Pasted", "is_open", "plain", "read_pasted", "within", "without_open"]
