"""RFC 4733 events of one leg, packet after packet."""

KEYS = "0123456789*#ABCD"


class Listener:
    """Reports each event once: at its first end, or when a newer one begins."""

    def __init__(self) -> None:
        self.ts: int | None = None
        self.key, self.duration, self.reported, self.last_tick = "", 0, True, 0

    def hear(self, ts: int, code: int, duration: int, end: bool, tick: int) -> list[str]:
        said = []
        if self.ts is None or 0 < (ts - self.ts) % 2**32 < 2**31:
            said += self.report()
            self.ts, self.key, self.duration, self.reported = ts, KEYS[code], 0, False
        if ts == self.ts:
            self.duration = max(self.duration, duration)
            self.last_tick = tick
            if end:
                said += self.report()
        return said

    def time_out(self, tick: int, patience: int) -> list[str]:
        return self.report() if tick - self.last_tick > patience else []

    def report(self) -> list[str]:
        if self.reported:
            return []
        self.reported = True
        return [self.key]
