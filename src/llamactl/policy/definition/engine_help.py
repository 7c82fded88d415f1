"""An engine's options, parsed from its own `--help`: llama-server's format, and argparse's.

llama-server: https://github.com/ggml-org/llama.cpp/blob/master/common/arg.cpp (`to_string`);
argparse: https://docs.python.org/3/library/argparse.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["switch", "integer", "number", "choice", "list", "path", "text"]

_FLAG = re.compile(
    r"(-{1,2}[A-Za-z0-9][\w.-]*)(?:[ =]([A-Z][A-Z0-9_]*))?(?:,\s*(?=-)|\s*/\s*(?=-)|$)"
)
_LAST_FLAG = re.compile(r"-{1,2}[A-Za-z0-9][\w.-]*")
_OPTION_LINE = re.compile(r"\s{0,4}-{1,2}[A-Za-z0-9]")
_DASHED_SECTION = re.compile(r"-{3,}\s*(.+?)\s*-{3,}$")
_SECTION = re.compile(r"[A-Za-z][\w /()-]*:$")
_DEFAULT = re.compile(r"\(default: (.*?)\)(?=\s|$|\()|\(default: ([^)]*)\)")
_GAP = re.compile(r"\s{2,}")
_INTEGER = re.compile(r"-?\d+")
_RANGE = re.compile(r"\d+\.{2,}\d+")
# "0.95, 1.0 = disabled", "-1; -1 = disabled", "0 = model training context size"
_NUMBER_FIRST = re.compile(r"(-?\d+(?:\.\d+)?)(?:[,;)]| = )")
_FRACTIONAL = re.compile(r"\b(factor|frequency|threshold|probability|similarity)\b", re.IGNORECASE)
_BULLET = re.compile(r"- ([\w+-]+)(?: \(\w+\))?:")
_NUMBER = re.compile(r"-?\d*\.\d+(e-?\d+)?")
_LONGEST = 4000  # characters of a help text


@dataclass(frozen=True, slots=True)
class EngineOption:
    name: str  # the first long flag, as options are written
    flags: tuple[str, ...]
    kind: Kind
    choices: tuple[str, ...]
    default: str
    help: str
    section: str

    def is_off(self, flag: str) -> bool:
        """Does this flag of a switch turn it off, as `--no-mmap` and `-nkvo` do?"""
        long = [one for one in self.flags if one.startswith("--")]
        off = [one for one in long if one.startswith("--no-")]
        return 0 < len(off) < len(long) and (flag in off or flag.startswith("-n"))


def read_help(text: str) -> list[EngineOption]:
    """Each option once; what can't be understood is left out."""
    found: dict[str, EngineOption] = {}
    for section, lines in _blocks(text):
        option = _option(section, lines)
        if option is not None:
            found.setdefault(option.name, option)
    return [*found.values()]


def _blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    """The lines of each option, and its section."""
    section, block = "", list[str]()
    for line in text.splitlines():
        heading = _DASHED_SECTION.match(line) or (_SECTION.match(line) and line)
        if heading or _OPTION_LINE.match(line):
            if block:
                yield section, block
            block = [] if heading else [line.strip()]
            if heading:
                section = (heading if isinstance(heading, str) else heading[1]).strip(" :")
        elif block and line.strip():
            block.append(line.strip())
    if block:
        yield section, block


def _option(section: str, lines: list[str]) -> EngineOption | None:
    flags, value, said = _head(lines[0])
    if not flags:
        return None
    words = " ".join([said, *lines[1:]]).strip()
    default = _DEFAULT.search(words)
    given = (default[1] or default[2] or "").strip(" '\"") if default else ""
    number = _NUMBER_FIRST.match(given)
    given = number[1] if number else given
    kind, choices = _kind(flags, value, given, words)
    if kind == "text" and not choices:
        choices = tuple(bullet[1] for line in lines if (bullet := _BULLET.match(line)))
        kind = "choice" if len(choices) > 1 else kind
        choices = tuple(dict.fromkeys((given, *choices))) if kind == "choice" and given else choices
    return EngineOption(name_of(flags), flags, kind, choices, given, words[:_LONGEST], section)


def _head(line: str) -> tuple[tuple[str, ...], str, str]:
    """Flags, the placeholder of their value, the beginning of the help text."""
    flags, value, at = list[str](), "", 0
    while found := _FLAG.match(line, at):
        flags.append(found[1])
        value = found[2] or value
        at = found.end()
    last = _LAST_FLAG.match(line, at)
    if last:
        flags.append(last[0])
        at = last.end()
    rest = line[at:]
    if rest.startswith((" ", "=")) and not rest.startswith("  "):
        value, *said = _GAP.split(rest[1:], maxsplit=1)
        return tuple(flags), value, "".join(said)
    return tuple(flags), value, rest.strip()


def name_of(flags: tuple[str, ...]) -> str:
    long = [flag for flag in flags if flag.startswith("--")] or [*flags]
    positive = [flag for flag in long if not flag.startswith("--no-")] or long
    return positive[0].lstrip("-").replace("-", "_").replace(".", "_")


def _kind(
    flags: tuple[str, ...], value: str, default: str, words: str
) -> tuple[Kind, tuple[str, ...]]:
    inner = value.strip("{}[]<>")
    if not value or (inner in ("on|off", "on|off|auto") and "--no-" in " ".join(flags)):
        return "switch", ()
    if _RANGE.fullmatch(inner):
        return "integer", ()
    separator = "|" if "|" in inner else ","
    several = tuple(word.strip() for word in inner.split(separator) if word.strip())
    if ".." in inner or re.search(r"[A-Z]\d?,[A-Z]", inner):
        return "list", ()
    if len(several) > 1 and all(re.fullmatch(r"[\w.+-]+", word) for word in several):
        return ("switch", ()) if set(several) == {"on", "off"} else ("choice", several)
    upper = inner.upper()
    if any(word in upper for word in ("FNAME", "FILE", "PATH", "DIR")):
        return "path", ()
    return _numeric(upper, default, words), ()


def _numeric(value: str, default: str, words: str) -> Kind:
    counted = value in ("N", "INT", "SEED", "PORT")
    whole = _INTEGER.fullmatch(default)
    if _NUMBER.fullmatch(default) or "FLOAT" in value:
        return "number"
    if counted and not whole and _FRACTIONAL.search(words):
        return "number"
    return "integer" if counted or whole else "text"


def by_flag(options: list[EngineOption]) -> Mapping[str, EngineOption]:
    return {flag: option for option in options for flag in option.flags}
