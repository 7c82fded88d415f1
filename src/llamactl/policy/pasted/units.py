"""The command of a systemd unit, or of a program of supervisor, and its variables.

Forms: https://www.freedesktop.org/software/systemd/man/latest/systemd.syntax.html and
https://supervisord.org/configuration.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from llamactl.policy.pasted.quoted import CONTINUED, at_home, split_quoted
from llamactl.policy.pasted.shell import Shell, is_open, open_word

_UNIT = re.compile(r"^[ \t]*ExecStart[ \t]*=", re.MULTILINE)
_SUPERVISED = re.compile(r"^[ \t]*\[program:", re.MULTILINE)
_PROGRAM = re.compile(r"\[program:([^\]]*)\]")
_PAIR = re.compile(r"(?<!\w)([A-Za-z_]\w*)[ \t]*=[ \t]*(\"[^\"]*\"|'[^']*'|[^,]*)")
_INLINE_COMMENT = re.compile(r"(?:^|\s)[;#].*$")
_SETTING = re.compile(r"[ \t]*([A-Za-z]+)[ \t]*=[ \t]*(.*)")
_SUPERVISED_SETTING = re.compile(r"([A-Za-z_]+)[ \t]*[=:][ \t]*(.*)")
_PREFIX = re.compile(r"^[-@:+!|]+")
_SPECIFIER = re.compile(r"%([A-Za-z%])")
_EXPANSION = re.compile(r"%(?:(%)|\(([^()]*)\)(0?\d*)([sd]))")
_OWN_WORD = re.compile(r"\$([A-Za-z_]\w*)\Z")
_VARIABLE = re.compile(r"\$(?:(\$)|\{([A-Za-z_]\w*)\})")
_LOOSE_VARIABLE = re.compile(r"\$(?:(\$)|\{?([A-Za-z_]\w*)\}?|\([^()]*\))")
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


def read_unit(text: str, shell: Shell, is_engine: Callable[[str], bool]) -> Unit:
    """Raises InvalidRequest for quotes that don't end."""
    if _SUPERVISED.search(text):
        return _of_supervisor(text, shell, is_engine)
    unit, command = Unit(), ""
    for line in CONTINUED.sub(" ", text).splitlines():
        found = _SETTING.match(line)
        if found is None:
            continue
        name, value = found[1], found[2].strip()
        match name:
            case "ExecStart":
                command = value or command
            case "Environment":
                pairs = (word.partition("=") for word in unit_words(value, shell))
                unit.environment.update({key: one for key, _, one in pairs if key})
            case "WorkingDirectory":
                unit.folder = at_home(specified(value.lstrip("-"), shell), shell)
            case _ if name not in _OF_NO_EFFECT:
                unit.beside.append(f"{name}={value}")
    _enter(unit, shell)
    prefix = _PREFIX.match(command)
    program, *words = unit_words(_PREFIX.sub("", command), shell) or [""]
    named = prefix is not None and "@" in prefix[0]  # its next word is the name that it sees
    unit.words = [program, *words[named:]] if program else words
    return unit


def _enter(unit: Unit, shell: Shell) -> None:
    known = {key: value for key, value in unit.environment.items() if not is_open(value)}
    shell.variables.update(known)
    if unit.folder.startswith("/"):
        shell.variables["PWD"] = unit.folder.rstrip("/")


def unit_words(text: str, shell: Shell) -> list[str]:
    """As systemd splits a command. Raises InvalidRequest for quotes that don't end."""
    words: list[str] = []
    for word in split_quoted(text):
        own = _OWN_WORD.match(word)
        value = shell.value(own[1]) if own else None
        words += [_filled(specified(word, shell), shell)] if value is None else value.split()
    return [at_home(word, shell) for word in words]


def _filled(word: str, shell: Shell) -> str:
    """With its variables. A word with blanks may be a shell's, which fills in the rest."""

    def one(found: re.Match[str]) -> str:
        if found[1]:
            return "$"
        value = shell.value(found[2]) if found[2] else None
        return open_word(found[0]) if value is None else value

    is_script = " " in word.strip()
    return (_VARIABLE if is_script else _LOOSE_VARIABLE).sub(one, word)


def specified(text: str, shell: Shell) -> str:
    """Without systemd's specifiers, as far as they are known here."""
    known = {"h": shell.home, "%": "%"}
    return _SPECIFIER.sub(lambda found: known.get(found[1]) or open_word(found[0]), text)


def _of_supervisor(text: str, shell: Shell, is_engine: Callable[[str], bool]) -> Unit:
    """The first of its programs that runs the engine, or else the first."""
    programs = [*_programs(text)]
    commands = [_expanded(one.get("command", ""), one) for one in programs]
    fitting = (n for n, one in enumerate(commands) if any(map(is_engine, split_quoted(one))))
    given = programs[next(fitting, 0)]
    unit = Unit()
    for name, value in given.items():
        match name:
            case "environment":
                for key, one in _PAIR.findall(_expanded(value, given)):
                    unit.environment[key] = " ".join(split_quoted(one)) if one else ""
            case "directory":
                unit.folder = at_home(_expanded(value, given), shell)
            case "" | "command":
                pass
            case _ if name not in _OF_NO_EFFECT:
                unit.beside.append(f"{name}={value}")
    _enter(unit, shell)
    command = split_quoted(_expanded(given.get("command", ""), given))
    unit.words = [at_home(_filled(word, shell), shell) for word in command]
    return unit


def _programs(text: str) -> Iterator[dict[str, str]]:
    """The settings of each; its name is that of "". An indented line continues the one before."""
    settings: dict[str, str] | None = None
    last = ""
    for line in text.splitlines():
        if line.lstrip()[:1] in ("#", ";"):
            continue
        kept = _INLINE_COMMENT.sub("", line)
        section = kept.strip()
        if section.startswith("["):
            if settings is not None:
                yield settings
            found = _PROGRAM.match(section)
            settings, last = ({"": found[1].strip()} if found else None), ""
        elif settings is not None and last and line[:1] in " \t" and section:
            settings[last] = f"{settings[last]}\n{section}".strip()
        elif settings is not None and (setting := _SUPERVISED_SETTING.match(section)):
            last = setting[1]
            settings[last] = setting[2].strip()
    if settings is not None:
        yield settings


def _expanded(text: str, program: Mapping[str, str]) -> str:
    """Without supervisor's `%(NAME)s`, as far as they are known here."""
    name = program[""]
    known = {"program_name": name, "group_name": name, "process_num": "0"}

    def one(found: re.Match[str]) -> str:
        if found[1]:
            return "%"
        value = known.get(found[2])
        if value is None:
            return open_word(found[0])
        return value.rjust(min(int(found[3] or 0), 9), "0") if found[4] == "d" else value

    return _EXPANSION.sub(one, text)
