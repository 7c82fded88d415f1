"""An engine's options, parsed from its own `--help`: llama-server's format, and argparse's.

llama-server: https://github.com/ggml-org/llama.cpp/blob/master/common/arg.cpp (`to_string`);
argparse: https://docs.python.org/3/library/argparse.html
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from llamactl.core.instance import InstanceOptions

Kind = Literal["switch", "integer", "number", "choice", "list", "path", "text"]
ON_OFF = ("on", "off")
MANY = 0

_FLAG = re.compile(
    r"(-{1,2}[A-Za-z0-9][\w.-]*)(?:[ =]([A-Z][A-Z0-9_]*))?(?:,\s*(?=-)|\s*/\s*(?=-)|$)"
)
_LAST_FLAG = re.compile(r"-{1,2}[A-Za-z0-9][\w.-]*")
_OPTION_LINE = re.compile(r"\s{0,4}-{1,2}[A-Za-z0-9]")
_SECTION = re.compile(r"[A-Za-z][\w /()-]*:$")
_DEFAULT = re.compile(r"\(default: (.*?)\)(?=\s|$|\(|\[)|\(default: ([^)]*)\)")
# "('on', 'off', or 'auto', default: 'auto')", "(0 - no polling, default: 50)", "…, default: 4096"
_DEFAULT_WITHIN = re.compile(r"\bdefault: (?:'([^']*)'|([^\s),;]+))")
_GAP = re.compile(r"\s{2,}")
_INTEGER = re.compile(r"-?\d+")
_RANGE = re.compile(r"(-?\d+(?:\.\d+)?)\.{2,}(-?\d+(?:\.\d+)?)")
_RANGE_IN_WORDS = re.compile(r"\(valid range (-?\d+(?:\.\d+)?) to (-?\d+(?:\.\d+)?)\)")
# "0.95, 1.0 = disabled", "-1; -1 = disabled", "0 = model training context size"
_FIRST = re.compile(r"(-?\d+(?:\.\d+)?|'[^']*')(?:[,;)]| = | \()")
_FRACTIONAL = re.compile(r"\b(factor|frequency|threshold|probability|similarity)\b", re.IGNORECASE)
_ALLOWED = re.compile(r"\ballowed values: ([\w.+-]+(?:, [\w.+-]+)+)")
_BULLET = re.compile(r"- ([\w+-]+)(?: \(\w+\))?:")
_SEVERAL_WORDS = re.compile(r"[A-Z][A-Z0-9_]*(?: [A-Z][A-Z0-9_]*)+")
_NUMBER = re.compile(r"-?\d*\.\d+(e-?\d+)?")
_REMOVED = re.compile(r"\bargument has been removed\b")
_LONGEST = 4000  # characters of a help text
_LONGEST_LINE = 2000
_LONGEST_HEADING = 120
_MOST_LINES = 20_000


@dataclass(frozen=True, slots=True)
class EngineOption:
    name: str  # the first long flag, as options are written
    flags: tuple[str, ...]
    kind: Kind
    choices: tuple[str, ...]  # of a switch: it takes one of these words
    default: str
    help: str
    section: str
    minimum: float | None = None
    maximum: float | None = None
    words: int = 1  # that a flag takes, unless it is a switch; MANY: all up to the next flag

    @property
    def off(self) -> tuple[str, ...]:
        """The flags that turn it off, as `-nkvo` and `--no-mmap` do.

        A short one of them is between the last flag that turns it on and a `--no-` one.
        """
        names = [*self.flags]
        negative = [n for n, flag in enumerate(names) if flag.startswith("--no-")]
        positive = [n for n, flag in enumerate(names)
                    if flag.startswith("--") and n not in negative]  # fmt: skip
        if not negative or not positive:
            return ()
        between = range(max(positive) + 1, max(negative))
        return tuple(flag for n, flag in enumerate(names) if n in negative or n in between)

    def is_off(self, flag: str) -> bool:
        return flag in self.off


def read_help(text: str) -> list[EngineOption]:
    """Each option once; what can't be understood, or is there no longer, is left out."""
    found: dict[str, EngineOption] = {}
    for section, lines in _blocks(text):
        option = _option(section, lines)
        if option is not None and not _REMOVED.search(option.help):
            found.setdefault(option.name, option)
    return [*found.values()]


def _blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    """The lines of each option, and its section.

    What follows an option without being indented more, or after a blank line less than its help
    is, is not about it.
    """
    section, block, own, column, blank = "", list[str](), 0, 0, False
    for whole in text.splitlines()[:_MOST_LINES]:
        line = whole[:_LONGEST_LINE].rstrip()
        indent = len(line) - len(line.lstrip())
        heading = _heading(line)
        if heading or _OPTION_LINE.match(line):
            if block:
                yield section, block
            block = [] if heading else [line.strip()]
            section = heading or section
            said = "" if heading else _head(line.strip())[2]
            own, column = indent, len(line) - len(said) if said else 0
        elif block and line:
            if indent > own and not (blank and indent < column):
                block.append(line.strip())
                column = column or indent
            else:
                yield section, block
                block = []
        blank = not line
    if block:
        yield section, block


def _heading(line: str) -> str:
    if len(line) > _LONGEST_HEADING:
        return ""
    if line.startswith("---") and line.endswith("---"):
        return line.strip("- ")
    return line.strip(" :") if _SECTION.match(line) else ""


def _option(section: str, lines: list[str]) -> EngineOption | None:
    flags, value, said = _head(lines[0])
    if not flags:
        return None
    words = " ".join([said, *lines[1:]]).strip()[:_LONGEST]
    given = _default(words)
    kind, choices = _kind(flags, value, given, words)
    if kind == "text":
        choices = _listed_choices(lines, words)
        kind = "choice" if len(choices) > 1 else kind
        choices = tuple(dict.fromkeys((given, *choices))) if kind == "choice" and given else choices
    low, high = _range(value, words) if kind in ("integer", "number") else (None, None)
    several = len(value.split()) if _SEVERAL_WORDS.fullmatch(value) else 1
    return EngineOption(
        name_of(flags), flags, kind, choices, given, words, section, low, high, several
    )


def _default(words: str) -> str:
    found = _DEFAULT.search(words)
    if found is None:
        within = _DEFAULT_WITHIN.search(words)
        return (within[1] or within[2] or "") if within else ""
    given = (found[1] or found[2] or "").strip()
    first = _FIRST.match(given)
    return (first[1] if first else given).strip(" '\"")


def _listed_choices(lines: list[str], words: str) -> tuple[str, ...]:
    """Those that the help text lists: by bullets, or as allowed values."""
    if allowed := _ALLOWED.search(words):
        return tuple(allowed[1].split(", "))
    return tuple(bullet[1] for line in lines if (bullet := _BULLET.match(line)))


def _range(value: str, words: str) -> tuple[float | None, float | None]:
    found = _RANGE.fullmatch(value.strip("{}[]<>")) or _RANGE_IN_WORDS.search(words)
    return (float(found[1]), float(found[2])) if found else (None, None)


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
    return spelled(positive[0])


def spelled(flag: str) -> str:
    """A flag, or what people write for it, as options are written."""
    return flag.lstrip("-").replace("-", "_").replace(".", "_")


def _kind(
    flags: tuple[str, ...], value: str, default: str, words: str
) -> tuple[Kind, tuple[str, ...]]:
    inner = value.strip("{}[]<>")
    if not value or (inner in ("on|off", "on|off|auto") and "--no-" in " ".join(flags)):
        return "switch", ()
    if found := _RANGE.fullmatch(inner):
        return ("number" if "." in found[1] + found[2] else "integer"), ()
    if _SEVERAL_WORDS.fullmatch(value):
        return "list", ()
    separator = "|" if "|" in inner else ","
    several = tuple(word.strip() for word in inner.split(separator) if word.strip())
    if ".." in inner or (inner == value and re.search(r"[A-Z]\d?,[A-Z]", inner)):
        return "list", ()
    if len(several) > 1 and all(re.fullmatch(r"[\w.+-]+", word) for word in several):
        if several == ON_OFF:
            return "switch", several
        listed = separator == "," and inner == value and "comma-separated" in words
        return ("list" if listed else "choice"), several
    upper = inner.upper()
    if any(word in upper for word in ("FNAME", "FILE", "PATH", "DIR")):
        return "path", ()
    return _numeric(upper, default, words), ()


def _numeric(value: str, default: str, words: str) -> Kind:
    counted = value in ("N", "INT", "INTEGER", "SEED", "PORT")
    whole = _INTEGER.fullmatch(default)
    if _NUMBER.fullmatch(default) or "FLOAT" in value:
        return "number"
    if counted and not whole and _FRACTIONAL.search(words):
        return "number"
    return "integer" if counted or whole else "text"


class Vocabulary(Mapping[str, EngineOption]):
    """An engine's options by flag, and by what people write for a flag. It never changes."""

    def __init__(self, options: Iterable[EngineOption] = ()) -> None:
        self._options: dict[str, EngineOption] = {}
        self._flags: dict[str, str] = {}  # by their spelling
        self._without: dict[str, EngineOption] = {}  # by name: llamactl's own have no flag
        for option in options:
            if not option.flags:
                self._without[option.name] = option
            for flag in option.flags:
                self._options.setdefault(flag, option)
                self._flags.setdefault(spelled(flag), flag)

    def __getitem__(self, flag: str) -> EngineOption:
        return self._options[flag]

    def __iter__(self) -> Iterator[str]:
        return iter(self._options)

    def __len__(self) -> int:
        return len(self._options)

    def __hash__(self) -> int:
        return id(self)

    def flag_of(self, name: str) -> str:
        """The flag that somebody means by `ctx-size`, `ctx_size`, `c` or `--ctx-size`; or ""."""
        return name if name in self._options else self._flags.get(spelled(name), "")

    def named(self, name: str) -> EngineOption | None:
        return self._options.get(self.flag_of(name)) or self._without.get(name)


UNREAD = Vocabulary()  # of an engine whose help can't be read
Known = Callable[[InstanceOptions], Awaitable[Vocabulary]]  # of the engine of such an instance
Seen = Callable[[InstanceOptions], Vocabulary | None]  # the same, without asking


async def nothing_known(_: InstanceOptions) -> Vocabulary:
    """Where no engine can be asked."""
    return UNREAD


def nothing_seen(_: InstanceOptions) -> None:
    """Where no engine was asked."""
