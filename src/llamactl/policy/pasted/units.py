"""The command of a systemd unit, or of a program of supervisor, and its variables.

Forms: https://www.freedesktop.org/software/systemd/man/latest/systemd.syntax.html and
https://supervisord.org/configuration.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from llamactl.policy.pasted.shell import Shell, open_word, split

_UNIT = re.compile(r"^[ \t]*ExecStart[ \t]*=", re.MULTILINE)
_SUPERVISED = re.compile(r"^[ \t]*\[program:", re.MULTILINE)
_BETWEEN_PAIRS = re.compile(r",(?=\s*[A-Za-z_]\w*=)")
_CONTINUED = re.compile(r"\\[ \t]*\r?\n(?:[ \t]*[#;][^\n]*\n)*")
_SETTING = re.compile(r"[ \t]*([A-Za-z]+)[ \t]*=[ \t]*(.*)")
_PREFIX = re.compile(r"^[-@:+!|]+")
_SPECIFIER = re.compile(r"%([A-Za-z%])")
# When it runs, and what is said of it: llamactl starts and ends engines itself.
_OF_NO_EFFECT = frozenset(
    {"Description", "Documentation", "After", "Before", "Wants", "Requires", "WantedBy", "Alias",
     "Type", "Restart", "RestartSec", "StandardOutput", "StandardError", "SyslogIdentifier",
     "TimeoutStartSec", "TimeoutStopSec", "KillSignal", "KillMode", "StartLimitIntervalSec",
     "StartLimitBurst", "RequiredBy", "PartOf", "BindsTo", "Conflicts", "RemainAfterExit",
     "autostart", "autorestart",
     "startsecs", "startretries", "stdout_logfile", "stderr_logfile", "redirect_stderr"}
)  # fmt: skip


@dataclass(slots=True)
class Unit:
    words: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = ""  # in which it runs
    beside: list[str] = field(default_factory=list)  # other settings that change what runs


def is_unit(text: str) -> bool:
    return (_UNIT.search(text) or _SUPERVISED.search(text)) is not None


def read_unit(text: str, shell: Shell) -> Unit:
    """Raises InvalidRequest for quotes that don't end."""
    unit, command = Unit(), ""
    for line in _CONTINUED.sub(" ", text).splitlines():
        found = _SETTING.match(line)
        if found is None:
            continue
        name, value = found[1], found[2].strip()
        match name:
            case "ExecStart" | "command":
                command = value or command
            case "Environment":
                pairs = (word.partition("=") for word in _words(value, shell))
                unit.environment.update({key: one for key, _, one in pairs if key})
            case "environment":
                pairs = (
                    word.partition("=") for word in _words(_BETWEEN_PAIRS.sub(" ", value), shell)
                )
                unit.environment.update({key: one for key, _, one in pairs if key})
            case "WorkingDirectory" | "directory":
                unit.folder = _specified(value.lstrip("-"), shell)
            case _ if name not in _OF_NO_EFFECT:
                unit.beside.append(f"{name}={value}")
    shell.variables.update(unit.environment)
    if unit.folder.startswith("/"):
        shell.variables["PWD"] = unit.folder.rstrip("/")
    unit.words = _words(_PREFIX.sub("", command), shell)
    return unit


def _words(text: str, shell: Shell) -> list[str]:
    return [_specified(word, shell) for word in split(text, shell)]


def _specified(text: str, shell: Shell) -> str:
    """Without systemd's specifiers, as far as they are known here."""
    known = {"h": shell.home, "%": "%"}
    return _SPECIFIER.sub(lambda found: known.get(found[1]) or open_word(found[0]), text)
