"""The lab's end of the RTP engine: orders to the process that carries the callers' voices."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from bridge.lab.audibility import Window
from bridge.lab.capture import Packet
from bridge.lab.network import Impairment
from bridge.lab.orders import OrderLink, spawn
from bridge.lab.sounds import Pcm
from bridge.lab.spoken import samples_said
from bridge.lab.words import Voice
from bridge.sip.api import RemoteMedia
from bridge.units import FRAME_MS


@dataclass(frozen=True, slots=True)
class RtpPort:
    """A caller's row in the engine, and where he receives."""

    row: int
    host: str
    port: int


class RtpEngine:
    """A running engine process. Orders are answered in about one frame."""

    def __init__(self, link: OrderLink) -> None:
        self._link = link

    @classmethod
    def start(cls) -> Self:
        """Start the process; needs the running loop."""
        return cls(OrderLink(*spawn("bridge.lab.rtp_engine")))

    async def open(
        self, *, host: str = "127.0.0.1", ring_frames: int = 0, ptime_ms: int = FRAME_MS
    ) -> RtpPort:
        """Give a caller a port, who sends packets of `ptime_ms`.

        `ring_frames` limits how much of what he hears is kept.
        """
        return RtpPort(*await self._link.ask("open", host, ring_frames, ptime_ms))

    async def connect(self, port: RtpPort, remote: RemoteMedia) -> None:
        """Send to what offer and answer agreed on."""
        host, number = remote.address or ("", 0)
        dtmf = -1 if remote.dtmf_payload_type is None else remote.dtmf_payload_type
        codec = remote.codec
        await self._link.ask("remote", port.row, host, number, codec.name, codec.payload_type, dtmf)

    async def speak(self, port: RtpPort, voice: Voice) -> None:
        """Change what the caller says.

        Raises:
            InputError: a voice whose file cannot be said.
        """
        if voice.sound:
            await self._link.ask("sound", port.row, samples_said(voice).tobytes())
        else:
            tone = (voice.tone_hz or 0, float(voice.dbfs), voice.sends)
            await self._link.ask("voice", port.row, *tone)

    async def probe(self, port: RtpPort, pcm: Pcm) -> int:
        """Have the caller say samples once, whole frames, in G.711; return when the first was sent.

        0 when he sends nothing.
        """
        return int(await self._link.ask("probe", port.row, pcm.tobytes()))

    async def packet_ms(self, port: RtpPort) -> int:
        """Return how much sound the last packet held that came; 0 when none did."""
        return int(await self._link.ask("packet_ms", port.row))

    async def impair(self, port: RtpPort, impairment: Impairment, seed: str) -> None:
        """Send the caller's packets over a bad network from now on."""
        await self._link.ask("impair", port.row, impairment, seed)

    async def send(self, port: RtpPort, on: bool) -> None:
        """Stop or resume the caller's packets."""
        await self._link.ask("sending", port.row, on)

    async def press(self, port: RtpPort, digits: str) -> bool:
        """Send keys; return whether they went out, once the last one has."""
        return bool(await self._link.ask("press", port.row, digits))

    async def window(self, port: RtpPort, from_ns: int, to_ns: int) -> Window:
        """Return what the caller received in a span of monotonic time."""
        pcm, present, rate_hz = await self._link.ask("window", port.row, from_ns, to_ns)
        return Window(np.frombuffer(pcm, np.int16), np.frombuffer(present, np.bool_), rate_hz)

    async def close(self, port: RtpPort) -> None:
        """End the caller's stream."""
        await self._link.ask("close", port.row)

    async def begin_capture(self) -> None:
        """Have every single caller's packets kept from now on."""
        await self._link.ask("begin_capture")

    async def end_capture(self, *, wanted: bool) -> tuple[list[Packet], int]:
        """Keep no more; return the packets kept since, and how many there was no room for.

        Nothing when they are not `wanted`.
        """
        packets, left_out = await self._link.ask("end_capture", wanted)
        return packets, left_out

    async def counters(self) -> dict[str, int]:
        """Return the engine's totals."""
        return dict(await self._link.ask("counters"))

    def stop(self) -> None:
        """Close the control socket; the process ends by that."""
        self._link.close()
