"""What is scheduled: sessions by id and by access code, and whose toll-free is switched off.

Knows sessions as scheduled. It must not know legs or occurrences.

Codes are found by their hash and then compared in constant time, so that the time of an answer
tells nothing of how much of a guess was right.
"""

from hashlib import blake2b
from hmac import compare_digest

from bridge.conference.api import LegKind, SessionSpec
from bridge.units import ConfMs, SessionId


class SessionBook:
    """The scheduled sessions."""

    def __init__(self) -> None:
        self._live: dict[SessionId, SessionSpec] = {}
        self._by_code: dict[bytes, SessionId] = {}
        self._cancelled: set[SessionId] = set()
        self._switched_off: set[str] = set()

    def specs(self) -> tuple[SessionSpec, ...]:
        """Return the sessions that are not cancelled."""
        return tuple(self._live.values())

    def get(self, session: SessionId) -> SessionSpec | None:
        """Return a session that is not cancelled."""
        return self._live.get(session)

    def is_cancelled(self, session: SessionId) -> bool:
        """Say whether the session was cancelled."""
        return session in self._cancelled

    def put(self, spec: SessionSpec) -> None:
        """Add or replace a session."""
        self._live[spec.id] = spec
        self._by_code[_hash(spec.access_code)] = spec.id

    def cancel(self, session: SessionId) -> None:
        """Forget a session but for its id."""
        spec = self._live.pop(session)
        del self._by_code[_hash(spec.access_code)]
        self._cancelled.add(session)

    def of_code(self, code: str) -> SessionSpec | None:
        """Return the session with this access code, whatever its window."""
        found = self._by_code.get(_hash(code))
        spec = self._live[found] if found is not None else None
        right = same(spec.access_code if spec else "", code)
        return spec if right else None

    def admitting(self, code: str, at: ConfMs) -> SessionSpec | None:
        """Return the session that lets this access code in at this time."""
        spec = self.of_code(code)
        return spec if spec is not None and is_open(spec, at) else None

    def switch_toll_free(self, account: str, *, enabled: bool) -> None:
        """Switch an account's toll-free numbers on or off (R13)."""
        if enabled:
            self._switched_off.discard(account)
        else:
            self._switched_off.add(account)

    def offers(self, spec: SessionSpec, kind: LegKind, country: str) -> bool:
        """Say whether the session offers the number that a leg dialled (D16)."""
        if kind is not LegKind.TOLL_FREE:
            return True
        return country in spec.toll_free and spec.account not in self._switched_off


def is_open(spec: SessionSpec, at: ConfMs) -> bool:
    """Say whether `at` lies in the session's time window; one without a window is always open."""
    opened = spec.opens is None or spec.opens <= at
    return opened and (spec.closes is None or at < spec.closes)


def pin_matches(spec: SessionSpec, readings: tuple[str, ...]) -> bool:
    """Say whether one of the readings is the organizer's PIN; each is compared, in equal time."""
    return any([same(spec.organizer_pin, reading) for reading in readings])


def same(secret: str, guess: str) -> bool:
    """Compare in constant time; nothing equals an empty secret."""
    equal = compare_digest(secret.encode(), guess.encode())
    return equal and secret != ""


def _hash(code: str) -> bytes:
    return blake2b(code.encode(), digest_size=16).digest()
