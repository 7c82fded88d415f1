"""The log: one line per event, as text for people or as JSON for machines.

Events are `noun_verb` words, fields are keyword arguments: `log.info("instance_ready", name=…)`.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from typing import Any

import orjson

from llamactl.observe.restraint import Restraint

_LONGEST = 2000  # characters of a field
_QUOTE, _QUOTED = '"', r"\""
_LIKE_A_FIELD = re.compile(r"\s\w+=")


class EventLogger:
    """A thin layer over the standard library's logging that carries fields."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(f"llamactl.{name}")

    def debug(self, event: str, **fields: Any) -> None:
        self._log(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._log(logging.WARNING, event, fields)

    def failure(self, event: str, exc: BaseException, **fields: Any) -> None:
        """An exception that was caught where nobody expected one, with its trace."""
        self._log(logging.ERROR, event, fields, exc)

    def _log(
        self, level: int, event: str, fields: dict[str, Any], exc: BaseException | None = None
    ) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, extra={"fields": fields}, exc_info=exc)


def logger(name: str) -> EventLogger:
    return EventLogger(name)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        said = " ".join(f"{key}={_on_one_line(value)}" for key, value in fields.items())
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{clock} {record.levelname.lower():7} {record.getMessage()} {said}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _on_one_line(value: object) -> str:
    """What a client sent must not look like a line, or a field, of ours."""
    text = str(_shortened(value))
    if not text.isprintable():
        text = str(_shortened(text.encode("unicode_escape").decode()))
    return f'"{text.replace(_QUOTE, _QUOTED)}"' if _LIKE_A_FIELD.search(text) else text


def _shortened(value: object) -> object:
    if isinstance(value, str) and len(value) > _LONGEST:
        return f"{value[:_LONGEST]}… ({len(value)} characters)"
    return value


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        row = {
            "at": round(record.created, 3),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **{name: _shortened(v) for name, v in getattr(record, "fields", {}).items()},
        }
        if record.exc_info:
            row["trace"] = self.formatException(record.exc_info)
        return orjson.dumps(row, default=str).decode()


def configure(*, json: bool, level: str) -> None:
    """Send the log to standard error. Called once, before anything logs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Restraint())
    handler.setFormatter(_Json() if json else _Text())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("llamactl").setLevel(level.upper())
