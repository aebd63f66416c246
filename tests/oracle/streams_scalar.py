"""Reception of one caller, packet by packet, as RFC 3550 A.1, A.3 and A.8 say it in words."""

from dataclasses import dataclass

GAP_NS = 60_000_000
LATE_NS = 60_000_000


@dataclass
class Reception:
    received: int = 0
    lost: int = 0
    late: int = 0
    gaps: int = 0
    gap_ns: int = 0
    jitter: float = 0.0
    ssrc: int = -1
    first: int = 0
    highest: int = 0
    came: int = 0
    arrived_ns: int = 0
    transit_ns: int = 0
    quickest_ns: int = 0

    def losses(self) -> int:
        if self.ssrc < 0:
            return 0
        return max(self.highest - self.first + 1 - self.came, 0)

    def take(self, seq: int, ts: int, ssrc: int, at_ns: int) -> None:
        new = ssrc != self.ssrc
        if new:
            self.lost += self.losses()
            self.ssrc, self.came, self.first, self.highest = ssrc, 0, seq, seq
        ahead = (seq - self.highest) % 65_536
        if ahead < 32_768:
            self.highest += ahead
        self.came += 1
        self.received += 1
        if not new:
            gap = at_ns - self.arrived_ns
            self.gap_ns = max(self.gap_ns, gap)
            if gap >= GAP_NS:
                self.gaps += 1
        self.arrived_ns = at_ns
        transit = at_ns - ts * 125_000
        change = abs(transit - self.transit_ns)
        jumped = new or change > 10**9
        self.jitter += ((0 if jumped else change) - self.jitter) / 16
        self.transit_ns = transit
        self.quickest_ns = transit if jumped else min(self.quickest_ns, transit)
        if transit - self.quickest_ns > LATE_NS:
            self.late += 1
