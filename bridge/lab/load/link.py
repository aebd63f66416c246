"""Orders to the process that carries a crowd's voices, and what it says unasked."""

import asyncio
import subprocess
from collections.abc import Callable, Collection
from typing import Any, Self

from bridge.lab.load.ears import Capture
from bridge.lab.load.engine import EngineSettings
from bridge.lab.load.wire import destination_of
from bridge.lab.orders import END_TIMEOUT_S, ENDED, EngineLost, OrderLink, spawn
from bridge.sip.api import Address, RemoteMedia

Unasked = Callable[[Capture | dict[str, Any]], None]
"""Told of each sample, and of each second."""


class EngineLink:
    """A running engine process."""

    def __init__(self, link: OrderLink) -> None:
        self._link = link

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process itself."""
        return self._link.process

    @classmethod
    async def start(
        cls, settings: EngineSettings, on_unasked: Unasked, *, cores: Collection[int] = ()
    ) -> Self:
        """Start the process, on `cores` if there are any.

        Raises:
            EngineLost: its sockets could not be opened.
        """
        process, connection = spawn("bridge.lab.load.engine", cores=cores)
        connection.send(settings)
        try:
            _, fault = await asyncio.to_thread(connection.recv)
        except (EOFError, OSError):
            fault = ENDED
        if fault:
            connection.close()
            process.wait(END_TIMEOUT_S)
            raise EngineLost(str(fault))
        return cls(OrderLink(process, connection, on_unasked))

    async def addresses(self) -> list[Address]:
        """Return where each caller receives."""
        return [Address(*one) for one in await self._link.ask("addresses")]

    async def connect(self, caller: int, remote: RemoteMedia, steady_ns: int) -> None:
        """Let a caller speak to what was agreed; he is judged from `steady_ns` on."""
        await self._link.ask("connect", caller, *_wire_of(remote), steady_ns)

    async def retarget(self, caller: int, remote: RemoteMedia) -> None:
        """Let a caller go on with what a re-INVITE changed."""
        await self._link.ask("retarget", caller, *_wire_of(remote))

    async def steady(self, caller: int, steady_ns: int) -> None:
        """Judge a caller from another time on."""
        await self._link.ask("steady", caller, steady_ns)

    async def press(self, caller: int, digits: str) -> bool:
        """Send keys; return whether they went out, once the last one has."""
        return bool(await self._link.ask("press", caller, digits))

    async def stop_caller(self, caller: int) -> None:
        """End a caller's stream."""
        await self._link.ask("stop", caller)

    async def totals(self) -> dict[str, Any]:
        """Return what each caller received in all."""
        return dict(await self._link.ask("totals"))

    def close(self) -> None:
        """Close the control socket; the process ends by that."""
        self._link.close()


def _wire_of(remote: RemoteMedia) -> tuple[int, int, int]:
    """Return destination, payload type and that of telephone-event, -1 when not agreed."""
    dtmf = -1 if remote.dtmf_payload_type is None else remote.dtmf_payload_type
    return destination_of(remote.address), remote.codec.payload_type, dtmf
