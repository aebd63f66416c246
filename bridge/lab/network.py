"""A bad network between one caller and the bridge, for the packets that he sends; no socket.

`Impairment` is what a story says; `Line` decides for each packet whether and when it arrives.
All chance comes from the seed that is passed in.
"""

import random
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, model_validator

from bridge.lab.words import Duration, Part, fault, like
from bridge.units import FRAME_NS, NS_PER_MS, NS_PER_S

HELD_BACK_NS: Final = 5 * FRAME_NS // 2
"""A reordered packet arrives after the two that follow it."""

BACKLOG_NS: Final = 200 * NS_PER_MS
"""What a narrow line holds back; more is dropped."""

PACKET_OVERHEAD_BYTES: Final = 28
"""IP and UDP headers, which take bandwidth too."""


def _share(value: Any) -> Any:
    if isinstance(value, float):  # read already
        return value
    match = re.fullmatch(r"(\d{1,2}(?:\.\d{1,3})?|100)%", str(value))
    if not match:
        raise fault(f"{value!r} is no share: write 1%, from 0% to 100%")
    return float(Decimal(match[1]) / 100)


def _ppm(value: Any) -> Any:
    match = re.fullmatch(r"([+-]?\d{1,5})(?: ?ppm)?", str(value))
    if not match or abs(int(match[1])) > 20_000:
        raise fault(f"{value!r} is no drift: write 200ppm or -200ppm, at most 20000ppm")
    return int(match[1])


def _kbit(value: Any) -> Any:
    match = re.fullmatch(r"([1-9]\d{0,5})(?:kbit)?", str(value))
    if not match:
        raise fault(f"{value!r} is no bandwidth: write 64kbit")
    return int(match[1])


Share = Annotated[float, BeforeValidator(_share, json_schema_input_type=like(r"[\d.]+%"))]


class Impairment(Part):
    """What happens to the packets that a caller sends.

    Attributes:
        loss: share of packets that never arrive.
        burst: how many packets a loss takes on average; 1 is each by itself.
        duplicate: share of packets that arrive twice.
        reorder: share of packets that arrive after the two that follow them.
        delay, jitter: milliseconds for every packet, and up to so many more for each.
        drift: how much faster his clock runs than the bridge's.
        bandwidth: kbit/s, IP and UDP headers counted.
    """

    loss: Share = 0.0
    burst: int = Field(default=1, ge=1, le=50)
    duplicate: Share = 0.0
    reorder: Share = 0.0
    delay: Duration = 0
    jitter: Duration = 0
    drift: Annotated[
        int, BeforeValidator(_ppm, json_schema_input_type=int | like(r"[+-]?\d{1,5}(?: ?ppm)?"))
    ] = 0
    bandwidth: (
        Annotated[
            int, BeforeValidator(_kbit, json_schema_input_type=int | like(r"[1-9]\d{0,5}(?:kbit)?"))
        ]
        | None
    ) = None

    @model_validator(mode="after")
    def _possible(self) -> "Impairment":
        if not self.model_fields_set:
            raise fault("says nothing: give loss, jitter, delay, ...")
        if self.burst > 1 and not 0 < self.loss < 1:
            raise fault("bursts of loss need a share that is lost: loss: 5%", key="burst")
        if max(self.delay, self.jitter) > 5_000:
            raise fault("a packet that is more than 5s late is lost: use loss")
        return self


@dataclass(slots=True)
class Line:
    """One caller's way to the bridge.

    Attributes:
        free_ns: when a narrow line has sent what waits in it.
        last_ns: when the packet before arrives: jitter alone changes no order.
    """

    impairment: Impairment
    seed: str
    free_ns: int = 0
    last_ns: int = 0
    _losing: bool = False
    _owed: float = 0.0
    _chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        """Draw from the seed."""
        self._chance = random.Random(self.seed)

    def frames(self) -> int:
        """Return how many frames the caller's own clock makes in one of the bridge's."""
        self._owed += self.impairment.drift / 1e6
        extra = int(self._owed)
        self._owed -= extra
        return 1 + extra

    def arrivals(self, size_bytes: int, now_ns: int) -> tuple[int, ...]:
        """Return when a packet sent now arrives: never, once or twice."""
        chance, how = self._chance.random, self.impairment
        lost = self._lost()
        late, twice = chance() < how.reorder, chance() < how.duplicate
        jitter_ns = round(chance() * how.jitter * NS_PER_MS)
        begin_ns = self._through(size_bytes, now_ns)
        if lost or begin_ns is None:
            return ()
        due_ns = begin_ns + how.delay * NS_PER_MS + jitter_ns
        if late:
            due_ns += HELD_BACK_NS
        else:
            due_ns = self.last_ns = max(due_ns, self.last_ns)
        return (due_ns, due_ns) if twice else (due_ns,)

    def _lost(self) -> bool:
        """Return whether the next packet is lost: a Gilbert model, so that bursts have a mean."""
        share, burst = self.impairment.loss, self.impairment.burst
        if burst == 1:
            return self._chance.random() < share
        leave = 1 / burst
        enter = share * leave / (1 - share)
        self._losing = self._chance.random() < ((1 - leave) if self._losing else enter)
        return self._losing

    def _through(self, size_bytes: int, now_ns: int) -> int | None:
        """Return when a narrow line has sent a packet; None when too much waits before it."""
        if self.impairment.bandwidth is None:
            return now_ns
        begin_ns = max(now_ns, self.free_ns)
        if begin_ns - now_ns > BACKLOG_NS:
            return None
        bits = 8 * (size_bytes + PACKET_OVERHEAD_BYTES)
        self.free_ns = begin_ns + bits * NS_PER_S // (self.impairment.bandwidth * 1_000)
        return self.free_ns
