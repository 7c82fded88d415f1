"""The process that serves: from its settings to its end."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from llamactl.core.errors import LlamactlError

if TYPE_CHECKING:
    from llamactl.app import Application
    from llamactl.config import Loaded, Settings
    from llamactl.hot_restart import HandoverState


def run(config: Path | None, flags: dict[str, Any], *, verbose: bool) -> None:
    """Serve until a signal. Exits with 1 where it can't begin."""
    gc.disable()  # nothing of what is imported is garbage; looking for it takes a third of a start
    import uvloop

    from llamactl.config import load
    from llamactl.hot_restart import HandoverState
    from llamactl.observe import configure

    inherited = HandoverState.of_environment()
    try:

        def read() -> Loaded:
            return load(os.environ, path=config, flags=flags)

        loaded = read()
        level = "debug" if verbose else loaded.settings.log.level
        configure(json=loaded.settings.log.format == "json", level=level)
        listener = _listen(loaded.settings) if inherited is None else inherited.listener
        uvloop.run(_run(loaded, read, listener, inherited))
    except LlamactlError as exc:
        if inherited is not None:
            inherited.failed(exc.message)
        typer.echo(f"llamactl cannot start: {exc.message}", err=True)
        raise typer.Exit(1) from exc


def _listen(settings: Settings) -> socket.socket:
    """Bind first: a busy port must end us before anything is started.

    Processes of a llamactl that was killed may still serve there: then it is their socket.
    """
    from llamactl.proxy_process.meeting_place import MeetingPlace

    host, port = settings.server.host, settings.server.port
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        if (left := MeetingPlace.of(settings).listener(address[:2])) is not None:
            return left
        listener = socket.socket(family, kind, proto)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as exc:
        raise LlamactlError(
            f"cannot listen on {host}:{port}: {exc.strerror or exc}; "
            "stop the program that uses it, or choose another port with --port"
        ) from exc
    return listener


def raise_file_limit() -> int:
    """Use as many files as we may; engines get the former soft limit, which is returned."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft


async def _run(
    loaded: Loaded,
    read: Callable[[], Loaded],
    listener: socket.socket,
    inherited: HandoverState | None,
) -> None:
    from llamactl.app import Application
    from llamactl.cli.addresses import urls_of
    from llamactl.observe import notify
    from llamactl.observe.first_of import first_of

    port = listener.getsockname()[1]
    given = loaded.settings.server.port  # 0 where one was picked

    def reread() -> Loaded:
        new = read()
        return new if new.settings.server.port != given else _with_port(new, port)

    app = Application(
        _with_port(loaded, port), os.environ, reread, raise_file_limit(),
        takes_over=inherited is not None, examine=lambda: _examine(app.parts.settings.current),
    )  # fmt: skip
    told = _hear_signals(app)
    if inherited is None:
        await app.start()
        await app.parts.processes.listen(listener)
    else:
        await app.take_over(inherited)
    _announce(app, loaded, urls_of(listener, loaded.settings.server.allowed_hosts))
    notify("READY=1", f"MAINPID={os.getpid()}", "STATUS=serving")
    if inherited is None:
        await app.manage()
    gc.freeze()  # nor will it be looked through again while requests wait
    gc.enable()
    await first_of((told.wait(), app.upgrade.replaced.wait()))
    if app.upgrade.replaced.is_set():
        await first_of((told.wait(), app.relay_to_the_end()))
        return
    keep = told.by == signal.SIGTERM and app.parts.settings.current.instances.on_exit == "keep"
    notify("STOPPING=1")
    running, what = (
        app.parts.leases.total(),
        "leaving, instances keep running" if keep else "stopping",
    )
    _say(f"{what} ({running} requests running; press Ctrl-C again to abort them)", err=True)
    await app.stop(keep=keep)


def _with_port(loaded: Loaded, port: int) -> Loaded:
    server = loaded.settings.server.model_copy(update={"port": port})
    return replace(loaded, settings=loaded.settings.model_copy(update={"server": server}))


def _examine(settings: Settings) -> list[dict[str, Any]]:
    from llamactl.maintenance import examine

    return [asdict(finding) for finding in examine(settings)]


def _announce(app: Application, loaded: Loaded, urls: Sequence[str]) -> None:
    from llamactl.app.engine_now import engine_now
    from llamactl.config.settings import is_loopback
    from llamactl.observe import logger

    log = logger("app")
    parts, (url, *others) = app.parts, urls
    settings, (engine, advice) = parts.settings.current, engine_now(parts.settings)
    for warning in loaded.warnings:
        _say(f"warning: {warning}", err=True)
    for weak in (*loaded.weak_keys, parts.data_dir.weak_key):
        if weak:
            log.warning("management_key_is_short", reason=weak)
            _say(f"warning: {weak}", err=True)
    if parts.degraded():
        _say("warning: the store can't be written now; see the log", err=True)
    try:
        parts.data_dir.say_where(url)
    except OSError as exc:  # a full disk, say: commands don't find us, requests do
        _say(f"warning: cannot write {settings.data}/server.json: {exc.strerror}", err=True)
    _say(f"llamactl serves on {url}")
    for other in others:
        _say(f"  also at   {other}")
    if not is_loopback(settings.server.host) and not settings.server.allowed_hosts:
        _say("  names     other host names must be in server.allowed_hosts")
    asks = settings.auth.require_management_auth
    _say(f"  page      same address{'; sign in with a management key' if asks else ''}")
    _say(f"  engine    {'; '.join(filter(None, (engine, advice)))}")
    _say(f"  settings  {loaded.source or 'defaults'}")
    _say(f"  data      {settings.data}")
    if not settings.auth.management_keys:
        _say(f"  key file  {parts.data_dir.key_file}")
    if settings.swagger:
        _say(f"  API docs  {url}/swagger/")


def _say(text: str, *, err: bool = False) -> None:
    """Print to our output. If that fails, for example because its disk is full, we serve anyway."""
    with suppress(OSError):
        typer.echo(text, err=err)


class _Told(asyncio.Event):
    by: int = 0  # the first signal


def _hear_signals(app: Application) -> _Told:
    """Set by the first signal: stop the models, then the server. The second ends all at once."""
    told = _Told()

    def hear(number: int) -> None:
        if told.is_set():
            app.cut()
            on_exit = app.parts.settings.current.instances.on_exit
            ends_them = number == signal.SIGINT or on_exit == "stop"
            if ends_them and not app.upgrade.replaced.is_set():
                app.kill()
        told.by = told.by or number
        told.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, hear, number)
    loop.add_signal_handler(signal.SIGHUP, app.soon, partial(_reload, app))
    loop.add_signal_handler(signal.SIGUSR2, app.soon, app.upgrade_now)
    return told


async def _reload(app: Application) -> None:
    from llamactl.observe import notify

    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
    try:
        await app.parts.control.reload.run()
    finally:
        notify("READY=1")
