"""Which media worker a leg is on, and which workers share a conference; knows numbers only.

A leg on a shared number has its media before its code is keyed, so its worker is chosen before its
session is known, and a port that the caller was told cannot move. Such a leg stays where it is:
workers that have legs of one conference are *linked*, each giving the others the sum of its own
legs. Where the session is known (a code in the address, Call Me, the second call on a session that
others have keyed) the leg goes to the worker that has most of it.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from bridge.frozen import frozen

NO_GROUP = -1


@frozen
class Link:
    """A worker is to exchange a group's sums with these others from now on; empty: with none."""

    worker: int
    group: int
    peers: tuple[int, ...]


@dataclass(slots=True)
class _Seat:
    """Where one leg is."""

    worker: int
    session: str | None
    group: int = NO_GROUP


@dataclass(slots=True)
class Placement:
    """Legs by number on workers by number.

    Attributes:
        legs_max: legs that one worker takes.
        up: which workers run.
        load: legs of each worker.
        recorders: the worker that records each group.
    """

    legs_max: int
    up: list[bool]
    load: list[int] = field(init=False)
    recorders: dict[int, int] = field(default_factory=dict)
    _seats: dict[int, _Seat] = field(default_factory=dict)
    _sessions: dict[str, Counter[int]] = field(default_factory=dict)
    _groups: dict[int, Counter[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start with no leg anywhere."""
        self.load = [0] * len(self.up)

    # --- legs -----------------------------------------------------------------------------

    def place(self, leg: int, session: str | None) -> int | None:
        """Choose a worker for a leg: its session's if that has room, else the least loaded.

        None when no worker that runs has room.
        """
        room = [w for w, up in enumerate(self.up) if up and self.load[w] < self.legs_max]
        if not room:
            return None
        worker = room[0]
        if len(room) > 1:
            here = self._sessions.get(session, Counter()) if session else Counter[int]()
            worker = min(room, key=lambda w: (-here[w], self.load[w], w))
        self._seats[leg] = _Seat(worker, None)
        self.load[worker] += 1
        if session:
            self.identify(leg, session)
        return worker

    def identify(self, leg: int, session: str) -> None:
        """Say which session a leg belongs to, once it has keyed its code."""
        seat = self._seats.get(leg)
        if seat is not None and seat.session != session:
            self._forget_session(seat)
            seat.session = session
            if session not in self._sessions:  # to make one each time takes longer than all else
                self._sessions[session] = Counter()
            self._sessions[session][seat.worker] += 1

    def worker_of(self, leg: int) -> int | None:
        """Return a leg's worker, None when it is nowhere."""
        seat = self._seats.get(leg)
        return None if seat is None else seat.worker

    def enter(self, leg: int, group: int) -> list[Link]:
        """Put a leg into a group, -1 into none; return the links that change."""
        seat = self._seats.get(leg)
        if seat is None or seat.group == group:
            return []
        links = []
        for changed, step in ((seat.group, -1), (group, 1)):
            if changed != NO_GROUP:
                before = self.workers_of(changed)
                self._count(changed, seat.worker, step)
                links += self._changed(changed, before)
        seat.group = group
        return links

    def remove(self, leg: int) -> list[Link]:
        """Forget a leg; return the links that change."""
        links = self.enter(leg, NO_GROUP)
        seat = self._seats.pop(leg, None)
        if seat is not None:
            self.load[seat.worker] -= 1
            self._forget_session(seat)
        return links

    def lose(self, worker: int) -> tuple[list[int], list[Link]]:
        """Say that a worker has died; return its legs, and the links that change."""
        self.up[worker] = False
        lost = [leg for leg, seat in self._seats.items() if seat.worker == worker]
        links = [link for leg in lost for link in self.remove(leg)]
        for group in [g for g, recorder in self.recorders.items() if recorder == worker]:
            links += self.end_recording(group)[1]
        return lost, [link for link in links if link.worker != worker]

    # --- groups ---------------------------------------------------------------------------

    def workers_of(self, group: int) -> tuple[int, ...]:
        """Return the workers that have a group's legs or its recording, in order."""
        workers = {w for w, count in self._groups.get(group, Counter()).items() if count}
        if group in self.recorders:
            workers.add(self.recorders[group])
        return tuple(sorted(workers))

    def record(self, group: int) -> tuple[int | None, list[Link]]:
        """Choose the worker that records a group: one that has most of it.

        None when no worker runs.
        """
        before = self.workers_of(group)
        running = [w for w, up in enumerate(self.up) if up]
        if not running:
            return None, []
        here = self._groups.get(group, Counter())
        worker = self.recorders.get(group)
        if worker is None:
            worker = min(running, key=lambda w: (-here[w], self.load[w], w))
            self.recorders[group] = worker
        return worker, self._changed(group, before)

    def end_recording(self, group: int) -> tuple[int | None, list[Link]]:
        """Forget a recording; return the worker that had it, and the links that change."""
        before = self.workers_of(group)
        worker = self.recorders.pop(group, None)
        return worker, self._changed(group, before)

    # --- inside ---------------------------------------------------------------------------

    def _count(self, group: int, worker: int, step: int) -> None:
        counts = self._groups.setdefault(group, Counter())
        counts[worker] += step
        if not counts[worker]:
            del counts[worker]
        if not counts:
            del self._groups[group]

    def _forget_session(self, seat: _Seat) -> None:
        if seat.session is None:
            return
        counts = self._sessions[seat.session]
        counts[seat.worker] -= 1
        if not counts[seat.worker]:
            del counts[seat.worker]
        if not counts:
            del self._sessions[seat.session]

    def _changed(self, group: int, before: tuple[int, ...]) -> list[Link]:
        return list(_links(group, before, self.workers_of(group)))


def _links(group: int, before: tuple[int, ...], after: tuple[int, ...]) -> Iterator[Link]:
    """Yield what workers are to be told when those that share a group change."""
    if before == after:
        return
    for worker in sorted({*before, *after}):
        peers = tuple(w for w in after if w != worker) if worker in after else ()
        had = tuple(w for w in before if w != worker) if worker in before else ()
        if peers != had:
            yield Link(worker, group, peers)
