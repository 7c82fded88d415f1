"""Programs that run another program: how their own words end, and what is lost without them.

The only table of them. Other words before an engine's program are named and left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from llamactl.policy.pasted.script import ASSIGNMENT

_OWN_USER = "engines run as the user of llamactl"
_PRIORITY = "engines run with llamactl's priority; set it where llamactl is started"
_CORES = "engines run on the processors of llamactl; see the engine's own options for threads"
_HERE = "the engine runs outside of it, on this machine"
_LIMITS = "llamactl does not limit its engines so"
_LOOKED_AT = "the engine runs without it"
_ELSEWHERE = "it runs on another machine, and llamactl runs engines on this one only"
NOT_THE_COMMAND = "it does not hold the engine's own command; paste that, or its `docker run`"

_OF_SHELLS = frozenset({"-c"})


@dataclass(frozen=True, slots=True)
class Wrapper:
    """The words between its name and the command that it runs."""

    values: frozenset[str] = frozenset()  # its flags that take a word
    operands: int = 0  # words after its flags
    lost: str = ""  # what is lost without it; "": nothing
    subcommands: frozenset[str] = frozenset()  # one of which comes first
    sets: frozenset[str] = frozenset()  # flags that take NAME=VALUE for the command
    scripts: frozenset[str] = frozenset()  # flags that take the command as one word
    programs: frozenset[str] = frozenset()  # flags that take only the command's program
    mounts: frozenset[str] = frozenset()  # flags that take FOLDER:FOLDER_INSIDE
    begins: frozenset[str] = frozenset()  # flags after which the command begins, as after `--`
    closed: bool = False  # nothing after its operands is its own
    provides: bool = False  # the program is where it looks: another one is not found without it
    refused: str = ""  # nothing can be made of what it runs, and why

    @property
    def runs_files(self) -> bool:
        """What is not for `-c` is a file that it reads."""
        return self.scripts == _OF_SHELLS

    @property
    def is_far(self) -> bool:
        """It runs the command on another machine."""
        return self.refused == _ELSEWHERE


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PLAIN = Wrapper()
_SHELL = Wrapper(_words("-o -O --rcfile --init-file"), scripts=_OF_SHELLS)
_PYTHON = Wrapper(
    _words("--with --python -p --from --project --directory --index-url --extra --group --env-file "
           "--spec"), subcommands=_words("run tool x"), provides=True,
)  # fmt: skip
_CONDA = Wrapper(_words("-n -p --name --prefix --cwd"), lost=_HERE, subcommands=_words("run"),
                 provides=True)  # fmt: skip
_APPTAINER = Wrapper(_words("--pwd --nvccli"), 1, _HERE, _words("exec run"), _words("--env"),
                     mounts=_words("-B --bind"), closed=True)  # fmt: skip
_DEBUGGER = Wrapper(_words("-ex -iex -x -d -o --command"), lost=_LOOKED_AT)
_WITH_MANY_FLAGS = (_HERE, _LIMITS, _LOOKED_AT)
_ANY = 99  # operands, up to where the command begins
_FAR = Wrapper(refused=_ELSEWHERE)
WRAPPERS: Mapping[str, Wrapper] = {
    "nohup": _PLAIN, "exec": Wrapper(_words("-a")), "setsid": _PLAIN,
    "command": _PLAIN,
    "builtin": _PLAIN, "then": _PLAIN, "do": _PLAIN, "else": _PLAIN, "eval": _PLAIN,
    "unbuffer": _PLAIN,
    "time": Wrapper(_words("-f -o --format --output")),
    "stdbuf": Wrapper(_words("-i -o -e --input --output --error")),
    "env": Wrapper(_words("-u --unset -C --chdir"), scripts=_words("-S --split-string")),
    "sh": _SHELL, "bash": _SHELL, "zsh": _SHELL, "dash": _SHELL, "ash": _SHELL, "ksh": _SHELL,
    "fish": _SHELL,
    "uv": _PYTHON, "uvx": _PYTHON, "pipx": _PYTHON, "poetry": _PYTHON, "pixi": _PYTHON,
    "sudo": Wrapper(
        _words("-u -g -h -p -C -T -r -t -D -R --user --group --host --prompt --chdir --chroot"),
        lost=_OWN_USER,
    ),
    "doas": Wrapper(_words("-u -C"), lost=_OWN_USER),
    "runuser": Wrapper(_words("-u -l -g -G -s"), lost=_OWN_USER, scripts=_words("-c --command")),
    "su": Wrapper(_words("-g -G -s"), 2, lost=_OWN_USER, scripts=_words("-c --command")),
    "gosu": Wrapper(operands=1, lost=_OWN_USER),
    "setpriv": Wrapper(_words("--reuid --regid --groups"), lost=_OWN_USER),
    "nice": Wrapper(_words("-n --adjustment"), lost=_PRIORITY),
    "ionice": Wrapper(_words("-c -n -p --class --classdata"), lost=_PRIORITY),
    "chrt": Wrapper(_words("-T -P -D"), 1, lost=_PRIORITY),
    "choom": Wrapper(_words("-n --adjust"), lost=_PRIORITY),
    "taskset": Wrapper(operands=1, lost=_CORES),
    "numactl": Wrapper(
        _words("-i -N -m -C -p -P --interleave --cpunodebind --membind --physcpubind --preferred"),
        lost=_CORES,
    ),
    "hwloc-bind": Wrapper(operands=1, lost=_CORES),
    "prlimit": Wrapper(lost=_LIMITS),
    "cpulimit": Wrapper(_words("-l -p -e -P --limit"), lost=_LIMITS),
    "timeout": Wrapper(_words("-s -k --signal --kill-after"), 1, lost=_LIMITS),
    "cgexec": Wrapper(_words("-g"), lost=_LIMITS),
    "systemd-run": Wrapper(
        _words("-p -u -H -M --property --unit --slice --uid --gid --description --host --machine "
               "--working-directory --nice --service-type"),
        lost=_LIMITS, sets=_words("-E --setenv"),
    ),
    "systemd-inhibit": Wrapper(_words("--what --who --why --mode"), lost=_LIMITS),
    "caffeinate": Wrapper(_words("-t -w"), lost=_LIMITS),
    "firejail": Wrapper(_words("--net --profile --name --private"), lost=_HERE),
    "bwrap": Wrapper(lost=_HERE), "unshare": Wrapper(_words("-S -G -R -w --wd"), lost=_HERE),
    "chroot": Wrapper(_words("--userspec --groups"), 1, _HERE),
    "toolbox": Wrapper(_words("-c -r -d --container --release --distro"), lost=_HERE,
                       subcommands=_words("run enter")),
    "distrobox": Wrapper(_words("-n --name -a --additional-flags"), 1, _HERE, _words("enter"),
                         begins=_words("-e --exec")),
    "distrobox-enter": Wrapper(_words("-n --name -a --additional-flags"), 1, _HERE,
                               begins=_words("-e --exec")),
    "flatpak": Wrapper(_words("--branch --arch --cwd"), 1, _HERE, _words("run"),
                       programs=_words("--command"), closed=True),
    "flatpak-spawn": Wrapper(lost=_HERE, sets=_words("--env")),
    "apptainer": _APPTAINER, "singularity": _APPTAINER,
    "conda": _CONDA, "mamba": _CONDA, "micromamba": _CONDA,
    "nix-shell": Wrapper(_words("-p -I --packages"), lost=_HERE, scripts=_words("--run --command")),
    "nix": Wrapper(_words("-f --file -I --profile"), _ANY, _HERE, _words("develop shell run"),
                   begins=_words("-c --command")),
    "tmux": Wrapper(_words("-s -n -c -L -S"), subcommands=_words("new-session new")),
    "screen": Wrapper(_words("-S -h -c -dmS -DmS")),
    "strace": Wrapper(_words("-o -e -p"), lost=_LOOKED_AT),
    "ltrace": Wrapper(_words("-o -e -p"), lost=_LOOKED_AT),
    "gdb": _DEBUGGER, "cuda-gdb": _DEBUGGER, "lldb": _DEBUGGER,
    "valgrind": Wrapper(lost=_LOOKED_AT),
    "perf": Wrapper(_words("-e -o -F -c -C -p -t -m -I -r --event --output --freq --call-graph"),
                    lost=_LOOKED_AT, subcommands=_words("stat record")),
    "nsys": Wrapper(_words("-o -t --trace --output"), lost=_LOOKED_AT,
                    subcommands=_words("profile")),
    "gamemoderun": Wrapper(lost=_LOOKED_AT), "prime-run": Wrapper(lost=_LOOKED_AT),
    "xvfb-run": Wrapper(lost=_LOOKED_AT), "watch": Wrapper(_words("-n"), lost=_LOOKED_AT),
    "ssh": _FAR, "kubectl": _FAR, "mpirun": _FAR, "srun": _FAR, "sbatch": _FAR,
    "docker-compose": Wrapper(refused=NOT_THE_COMMAND),
    "podman-compose": Wrapper(refused=NOT_THE_COMMAND),
    "systemctl": Wrapper(refused="it names a unit; paste the unit's file instead"),
}  # fmt: skip


# Programs that take the engine's name, but don't run it.
NAME_IT = _words(
    "ollama pip pip3 brew apt apt-get dnf yum pacman zypper snap npm cargo port pkill killall kill "
    "pgrep pidof which whereis type hash man info ls cat cp mv rm ln chmod chown stat file ldd "
    "grep tail head less vim nano git make cmake ninja curl wget tar journalctl service"
)


@dataclass(slots=True)
class Unwrapped:
    own: list[str]  # the wrapper's words
    words: list[str]  # the command that it runs
    environment: dict[str, str] = field(default_factory=dict)
    mounts: list[str] = field(default_factory=list)  # FOLDER:FOLDER_INSIDE
    script: str | None = None  # the command, as the text of a shell
    program: str = ""  # of the command, where a flag names it


def unwrap(
    words: Sequence[str], wrapper: Wrapper, is_engine: Callable[[str], bool] = lambda word: False
) -> Unwrapped:
    """`words`: with the wrapper's name."""
    found = Unwrapped([words[0]], [])
    at = 1
    if at < len(words) and words[at] in wrapper.subcommands:
        found.own.append(words[at])
        at += 1
    left = wrapper.operands
    while at < len(words):
        word = words[at]
        if word == "--" or word in wrapper.begins:
            at += 1
            break
        if wrapper.closed and not left:
            break
        if word.startswith("-") and len(word) > 1:
            at = _flag(words, at, wrapper, found)
            if found.script is not None:
                break
        elif left:
            left -= 1
            found.own.append(word)
            at += 1
        else:
            break
    if found.script is None and wrapper.lost in _WITH_MANY_FLAGS and words[at - 1][:1] == "-":
        strays = _strays(words[at:], is_engine)
        found.own += words[at : at + strays]
        at += strays
    program = [found.program or found.own[-1]] if wrapper.programs else []
    found.words = [*program, *words[at:]]
    return found


def _strays(words: Sequence[str], is_engine: Callable[[str], bool]) -> int:
    """How many words before the command are values of a flag that is in no table."""
    names = [PurePosixPath(word).name for word in words]
    begin = next((n for n, word in enumerate(words) if is_engine(word) or names[n] in WRAPPERS), 0)
    return begin if any(map(is_engine, words)) else 0


def _flag(words: Sequence[str], at: int, wrapper: Wrapper, found: Unwrapped) -> int:
    """Takes one flag of the wrapper; where the next word is."""
    flag, equals, value = words[at].partition("=")
    found.own.append(words[at])
    bundle = _bundled(flag, wrapper.scripts)
    named = wrapper.values | wrapper.sets | wrapper.scripts | wrapper.programs | wrapper.mounts
    takes = flag in named or bundle
    at += 1
    if takes and not equals and at < len(words):
        value = words[at]
        at += 1
        found.own += [] if bundle or flag in wrapper.scripts else [value]
    if takes and flag in wrapper.sets and ASSIGNMENT.match(value):
        name, _, text = value.partition("=")
        found.environment[name] = text
    elif takes and (bundle or flag in wrapper.scripts):
        found.script = value
    elif takes and flag in wrapper.mounts:
        found.mounts += value.split(",")
    elif takes and flag in wrapper.programs:
        found.program = value
    return at


def _bundled(flag: str, scripts: frozenset[str]) -> bool:
    """`-lc`, as `bash -l -c`."""
    return "-c" in scripts and bool(re.fullmatch(r"-[a-zA-Z]*c", flag)) and flag != "-c"
