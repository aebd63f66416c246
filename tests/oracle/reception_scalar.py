"""One leg's reception by RFC 3550 appendix A, in plain integers: the twin of `reception`."""

from dataclasses import dataclass


def signed(value: int) -> int:
    return (value + 2**31) % 2**32 - 2**31


@dataclass
class Source:
    """`struct source` of RFC 3550 A.1 with `init_seq`, `update_seq` and A.8, without probation."""

    ssrc: int = -1
    base: int = 0
    max_seq: int = 0
    cycles: int = 0
    bad_seq: int = -1
    received: int = 0
    expected_prior: int = 0
    received_prior: int = 0
    transit: int | None = None
    jitter: int = 0
    lost_before: int = 0

    def begin(self, seq: int, ssrc: int) -> None:
        self.lost_before += max(self.lost(), 0)
        self.ssrc, self.base, self.max_seq, self.cycles, self.bad_seq = ssrc, seq, seq, 0, -1
        self.received = self.expected_prior = self.received_prior = self.jitter = 0
        self.transit = None

    def lost(self) -> int:
        return self.expected() - self.received if self.ssrc >= 0 else 0

    def expected(self) -> int:
        return self.cycles + self.max_seq - self.base + 1

    def packet(self, seq: int, ts: int, ssrc: int, *, arrived: int, audio: bool) -> None:
        if ssrc != self.ssrc:
            self.begin(seq, ssrc)
        step = (seq - self.max_seq) % 65_536
        if step < 3_000:
            self.cycles += 65_536 * (seq < self.max_seq)
            self.max_seq = seq
        elif step <= 65_536 - 100:
            if seq != self.bad_seq:
                self.bad_seq = (seq + 1) % 65_536
                return
            self.begin(seq, ssrc)
        self.received += 1
        if audio:
            transit = signed(arrived - ts)
            if self.transit is not None:
                moved = abs(signed(transit - self.transit))
                self.jitter += (moved if moved <= 40_000 else 0) - ((self.jitter + 8) >> 4)
            self.transit = transit

    def report(self) -> tuple[int, int, int, int]:
        """Return fraction lost, packets lost, extended highest number and jitter (A.3)."""
        expected = self.expected()
        since = expected - self.expected_prior
        missing = since - (self.received - self.received_prior)
        self.expected_prior, self.received_prior = expected, self.received
        fraction = 0 if since == 0 or missing <= 0 else min((missing << 8) // since, 255)
        lost = max(min(self.lost(), 0x7FFFFF), -0x800000)
        return fraction, lost, (self.cycles + self.max_seq) % 2**32, self.jitter >> 4
