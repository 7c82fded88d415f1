"""What a proxy process reports to the one that decides, without being asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from llamactl.link import LeaseNews
from llamactl.link.control_news import (
    AgreementAsked,
    CancelAsked,
    CountsAsked,
    LastAsked,
    RequestsAsked,
    ServedAsked,
)
from llamactl.link.proxy_news import (
    Agreed,
    Cancelled,
    Counted,
    LastSent,
    RequestsSaid,
    Served,
)
from llamactl.policy.access.rules import KeyRing
from llamactl.proxy import LeaseBook, ProxyServer
from llamactl.proxy_process.counts import take
from llamactl.proxy_process.known_requests import message_of
from llamactl.proxy_process.relaying.controls import Controls

_EVERY_S = 0.5  # what was counted
# between two reports of leases: who needs to know them exactly asks for an agreement
_PAUSE_S = 0.02


Asked = AgreementAsked | CountsAsked | ServedAsked | LastAsked | RequestsAsked | CancelAsked


class Reports:
    """Leases soon; what was counted, twice a second."""

    def __init__(
        self, controls: Controls, proxy: ProxyServer, leases: LeaseBook, ring: KeyRing
    ) -> None:
        self._controls = controls
        self._proxy = proxy
        self._leases = leases
        self._ring = ring
        self._changed = LeaseNews(leases.count, self._tell_leases, _PAUSE_S)
        leases.on_change = self._changed.note

    def __repr__(self) -> str:
        return f"<Reports, {self._changed}>"

    def leases(self) -> None:
        """Those that have changed in this turn of the loop, now."""
        self._changed.send()

    async def keep_counting(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            self.counted()

    def answer(self, asked: Asked) -> None:
        match asked:
            case AgreementAsked():
                self.leases()
                self._controls.tell(Agreed(turn=asked.turn))
            case CountsAsked():
                self.counted(asked.id)
            case ServedAsked():
                requests = self._leases.serving(asked.instance, asked.generation)
                self._controls.tell(Served(id=asked.id, requests=requests))
            case LastAsked():
                self._controls.tell(self._last_sent(asked))
            case RequestsAsked():
                said = RequestsSaid(id=asked.id, requests=self._proxy.requests())
                self._controls.tell(said)
            case CancelAsked():
                count = self._proxy.cancel(asked.request)
                self._controls.tell(Cancelled(id=asked.id, count=count))

    def _last_sent(self, asked: LastAsked) -> LastSent:
        last = self._leases.contexts.last_sent(asked.instance)
        return LastSent(id=asked.id, request=None if last is None else message_of(last))

    def counted(self, number: int | None = None) -> None:
        """`number`: of who asked for it."""
        if not self._controls.is_there():
            return  # the next one hears of all
        meters = take(self._proxy.meters())
        used, self._ring.used = self._ring.used, {}
        if meters or used or number is not None:
            self._controls.tell(Counted(meters=meters, used=used, id=number))

    def _tell_leases(self, counts: Mapping[str, int]) -> None:
        if self._controls.is_there():
            self._controls.now.tell_leases(counts)
