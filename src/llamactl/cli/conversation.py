"""A talk with a model: one question, or many with a history."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import typer

from llamactl.cli.loading import Loading
from llamactl.cli.options import value_of
from llamactl.cli.session import inert
from llamactl.core.errors import LlamactlError

if TYPE_CHECKING:
    from llamactl.cli.session import Session

_HELP = """\
/help           show this help
/system TEXT    set the system prompt; without TEXT, remove it
/set KEY VALUE  set a request parameter, such as temperature 0.2; without VALUE, reset it
/clear          clear the conversation
/retry          ask the last question again
/save FILE      save the conversation as JSON
/bye            leave (or press Ctrl-D)
Ctrl-C stops a response. Start and end a multi-line question with three quotes.
"""
_QUOTES = '"""'
Read = Callable[[str], str]  # the next line after a prompt; EOFError at the end


@dataclass
class Conversation:
    s: Session
    model: str
    system: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    said: list[dict[str, str]] = field(default_factory=list)

    def ask(self, question: str) -> str:
        """Print the answer as it comes, and what it took; return it. Raises LlamactlError."""
        self.said.append({"role": "user", "content": question})
        first = [{"role": "system", "content": self.system}] if self.system else []
        answer, began = "", time.monotonic()
        seen = _Seen(began)
        try:
            for text in self._pieces([*first, *self.said], seen):
                answer += text
        except KeyboardInterrupt:
            typer.echo("\n(stopped)", err=True)
        except LlamactlError:
            if not answer:
                self.said.pop()
            raise
        self.said.append({"role": "assistant", "content": answer})
        if self.s.as_json:
            took = {"tokens": seen.tokens, "timings": seen.timings}
            self.s.print_json({"model": self.model, "answer": answer, **took})
        elif sys.stderr.isatty():
            typer.echo(typer.style(seen.stats(), dim=True), err=True)
        return answer

    def _pieces(self, messages: list[dict[str, str]], seen: _Seen) -> Iterator[str]:
        params = {"stream_options": {"include_usage": True}, **self.params}
        thinks = False
        chat = self.s.client.chat(self.model, messages, **params)
        with Loading(self.s, self.model) as loading, closing(chat) as chunks:
            for chunk in chunks:
                loading.end()
                seen.take(chunk)
                delta = chunk["choices"][0].get("delta", {}) if chunk.get("choices") else {}
                if thought := delta.get("reasoning_content"):
                    thinks = True
                    typer.echo(typer.style(inert(thought), dim=True), nl=False, err=True)
                if text := delta.get("content"):
                    if thinks:
                        typer.echo("\n", err=True)
                        thinks = False
                    if not self.s.as_json:
                        sys.stdout.write(inert(text))
                        sys.stdout.flush()
                    yield text
        if not self.s.as_json:
            typer.echo()

    def hold(self, read: Read) -> None:
        """Until the other side leaves."""
        while True:
            try:
                line = _question(read)
            except EOFError:
                return
            except KeyboardInterrupt:
                typer.echo("(Ctrl-D or /bye leaves)", err=True)
                continue
            if line.strip() in ("/bye", "/exit", "/quit"):
                return
            try:
                self._heed(line)
            except LlamactlError as exc:
                typer.echo(f"llamactl: {exc.message}", err=True)

    def _heed(self, line: str) -> None:
        word, _, rest = line.strip().partition(" ")
        match word:
            case "":
                return
            case "/help" | "/?":
                typer.echo(_HELP, nl=False)
            case "/system":
                self.system = rest
            case "/clear":
                self.said.clear()
            case "/set":
                self.set_param(*rest.partition(" ")[::2])
            case "/retry":
                asked = [n for n, row in enumerate(self.said) if row["role"] == "user"]
                if asked:
                    question = self.said[asked[-1]]["content"]
                    del self.said[asked[-1] :]
                    self.ask(question)
            case "/save":
                self._save(rest)
            case _ if word.startswith("/") and "/" not in word[1:]:
                raise LlamactlError(f"unknown command {word}; see /help")
            case _:
                self.ask(line)

    def set_param(self, key: str, text: str) -> None:
        """Of each request from now on; no text: as it was."""
        self.params.pop(key, None)
        if text:
            self.params[key] = value_of(text)

    def _save(self, file: str) -> None:
        try:
            with open(file, "w", encoding="utf-8") as out:  # noqa: PTH123  as it was typed
                json.dump(self.said, out, indent=2, ensure_ascii=False)
        except OSError as exc:
            raise LlamactlError(f"cannot write {file!r}: {exc.strerror}") from exc
        typer.echo(f"wrote {file}")


@dataclass
class _Seen:
    """What an answer took."""

    began: float
    first: float | None = None
    tokens: int = 0
    timings: dict[str, Any] = field(default_factory=dict)

    def take(self, chunk: dict[str, Any]) -> None:
        if self.first is None:
            self.first = time.monotonic()
        with suppress(KeyError, TypeError):
            self.tokens = int(chunk["usage"]["completion_tokens"])
        self.timings = chunk.get("timings") or self.timings

    def stats(self) -> str:
        now = time.monotonic()
        first = self.first or now
        took = max(now - first, 1e-6)
        rate = self.timings.get("predicted_per_second") or self.tokens / took
        return f"[{self.tokens} tokens, {rate:.1f}/s, first after {first - self.began:.2f} s]"


def _question(read: Read) -> str:
    line = read(">>> ")
    if not line.lstrip().startswith(_QUOTES):
        return line
    text = line.lstrip().removeprefix(_QUOTES)
    while not text.rstrip().endswith(_QUOTES):
        text += "\n" + read("... ")
    return text.rstrip().removesuffix(_QUOTES)
