"""Lines that tell why a program ended: of common runtimes' logs, and of engines that people run."""

from __future__ import annotations

import re
from collections.abc import Iterator

from llamactl.backends.contract import FailurePattern
from llamactl.backends.shared.hugging_face import FAILURES
from llamactl.core.exits import FailureClass

_PYTHON = "https://docs.python.org/3/library/"
_CLAP = "https://github.com/clap-rs/clap/blob/master/clap_builder/src/"
_CLICK = "https://github.com/pallets/click/blob/main/src/click/"
_GO = "https://github.com/golang/go/blob/master/src/"
_MAN = "https://man7.org/linux/man-pages/man3/"
_TABBY = "https://github.com/theroyallab/tabbyAPI/blob/main/"
_WHISPER = "https://github.com/ggml-org/whisper.cpp/blob/master/"
_SGLANG = "https://github.com/sgl-project/sglang/blob/main/python/sglang/srt/"

# SGLang, in its `utils/common.py`: when a part of it fails, it kills all of itself. With
# `--log-level warning` it only complains of that part.
_PART_FAILED = r"It usually means (?:one|the) child failed"
KILLS_ITSELF = re.compile(
    rf"kill_process_tree called: parent_pid=(\d+), .*=True, pid=\1\b|{_PART_FAILED}"
)

# Of uvicorn and SGLang; the line before it says why.
VAGUE = re.compile(rf"Application startup failed|{_PART_FAILED}")


def _known(pattern: str, failure: FailureClass, advice: str, source: str) -> FailurePattern:
    return FailurePattern(re.compile(pattern, re.IGNORECASE), failure, advice, source)


def _port_taken(*patterns: tuple[str, str]) -> Iterator[FailurePattern]:
    advice = "the port is in use by another program"
    return (_known(one, FailureClass.PORT_TAKEN, advice, source) for one, source in patterns)


def _bad_option(*patterns: tuple[str, str]) -> Iterator[FailurePattern]:
    advice = "the program does not accept one of its arguments; correct args"
    return (_known(one, FailureClass.BAD_OPTION, advice, source) for one, source in patterns)


PATTERNS = (
    # others say of any program's files what they say of a model's
    *(one for one in FAILURES if one.failure is FailureClass.MODEL_FILE_MISSING),
    *_port_taken(
        (r"address already in use|EADDRINUSE", f"{_PYTHON}errno.html#errno.EADDRINUSE"),
        # cpp-httplib's servers; its ports stay taken for a minute after they were closed
        (r"couldn't bind to|couldn't bind HTTP", f"{_WHISPER}examples/server/server.cpp"),
        (r"ports? \d+ .*in use by", f"{_TABBY}main.py"),
    ),
    *_bad_option(
        (
            r"unrecognized arguments|following arguments are required|error: argument ",
            f"{_PYTHON}argparse.html#exiting-methods",
        ),
        (r"No such option|Invalid value for '?-", f"{_CLICK}exceptions.py"),
        (r"unrecognized option|invalid option -- ", f"{_MAN}getopt.3.html"),
        (r"flag provided but not defined|unknown (shorthand )?flag: ", f"{_GO}flag/flag.go"),
        (r"unexpected argument '|wasn't expected, or isn't valid", f"{_CLAP}error/format.rs"),
        (r"error: unknown (argument|option)", f"{_WHISPER}examples/server/server.cpp"),
    ),
    _known(
        r"\bout of memory\b|\bMemoryError\b|std::bad_alloc",
        FailureClass.OUT_OF_MEMORY,
        "not enough memory: use a smaller model, or run fewer instances at once",
        f"{_PYTHON}exceptions.html#MemoryError",
    ),
    _known(
        r"\bnot enough memory\b|\bno GPU memory\b",
        FailureClass.OUT_OF_MEMORY,
        "not enough memory: use a smaller model, run fewer instances at once, or change the share "
        "of the GPU that the program takes",
        f"{_SGLANG}mem_cache/kv_cache_configurator.py",
    ),
)
