"""What one load test does, as a value: how many, where to, what they say; opens nothing.

Callers dial in order of their numbers. Usually all conferences fill at the same pace; in a search
for the capacity one after the other, so that those there are have their size. In both, seat 0 of
a conference, the organizer, comes first.
"""

import socket
import string
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from bridge.errors import InputError
from bridge.lab.voice import FULL_SCALE, TONE_DBFS
from bridge.sip.api import Address

Ints = NDArray[np.int64]
Profile = Literal["talk", "listen", "churn"]

PARTICIPANTS_MAX: Final = 5_000
TALKERS_MAX: Final = 20
"""Voices at one time that a listener's second can be taken apart into, whatever the codec does."""

FIELDS: Final = frozenset({"conference", "seat", "caller"})
"""What a target and keys may name in braces."""

SIP_PORT: Final = 5_060
VOICES_PEAK: Final = 0.9
"""Of full scale: the sum of all voices of a conference must not clip."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """One load test.

    Attributes:
        participants: callers; each makes one call, in `churn` one after the other.
        conferences: they are spread over.
        rate: calls a second while they come in; what churns does not exceed it.
        duration_s: how long all of them are in.
        talkers: voices at one time in a conference; more callers take turns of two seconds.
        target: dialled URI, with `{conference}`, `{seat}`, `{caller}` in it; "" for a bridge of
            the load test's own.
        keys, organizer_keys: pressed by RFC 4733 once answered, by all and by seat 0.
        first: number of the first conference, as `{conference}` writes it.
        settle_s: after the answer and the keys, before a caller is judged: prompts pass.
        sample: listeners whose ears are examined each second.
        churn_rate: calls that end and are made anew each second, in profile `churn`.
        one_by_one: fill one conference after the other.
    """

    participants: int = 1_000
    conferences: int = 100
    rate: float = 50.0
    duration_s: float = 60.0
    codec: str = "PCMU"
    profile: Profile = "talk"
    talkers: int = 10
    target: str = ""
    keys: str = ""
    organizer_keys: str = ""
    first: int = 1
    settle_s: float = 4.0
    sample: int = 50
    churn_rate: float = 0.0
    one_by_one: bool = False

    def checked(self) -> "LoadPlan":
        """Return this plan when it can be carried out.

        Raises:
            InputError: by the option's name.
        """
        if not 2 <= self.conferences * 2 <= self.participants:
            expected = f"1 to {self.participants // 2}: a conference has two people or more"
            raise InputError("--conferences", self.conferences, expected)
        for option, text in (
            ("--target", self.target),
            ("--keys", self.keys),
            ("--organizer-keys", self.organizer_keys),
        ):
            filled = fill(text, option, conference=1, seat=0, caller=0)
            if option != "--target" and set(filled) - set("0123456789*#ABCD"):
                raise InputError(option, text, "digits, *, #, and {conference}, {seat}, {caller}")
        if self.target:
            address_of(fill(self.target, "--target", conference=1, seat=0, caller=0))
        return self

    @property
    def talkers_now(self) -> int:
        """Voices at one time in a conference."""
        return 1 if self.profile == "listen" else self.talkers

    @property
    def amplitude(self) -> float:
        """Peak of one voice in int16 steps, so that the voices of a conference never clip."""
        largest = -(-self.participants // self.conferences)
        voices = max(min(self.talkers_now, largest) - 1, 1)
        return float(FULL_SCALE * min(10 ** (TONE_DBFS / 20), VOICES_PEAK / voices))

    def place(self, caller: int) -> tuple[int, int]:
        """Return a caller's conference and seat, both from 0."""
        conference, seat = self.places()
        return int(conference[caller]), int(seat[caller])

    def places(self) -> tuple[Ints, Ints]:
        """Return (N,) conferences and (N,) seats of all callers."""
        return _places(self.participants, self.conferences, self.one_by_one)

    def uri(self, caller: int) -> str:
        """Return what a caller dials."""
        return self._filled(self.target, caller)

    def digits(self, caller: int) -> str:
        """Return what a caller keys once he is answered."""
        organizer = self.place(caller)[1] == 0 and self.organizer_keys
        return self._filled(self.organizer_keys if organizer else self.keys, caller)

    def _filled(self, text: str, caller: int) -> str:
        conference, seat = self.place(caller)
        return fill(text, "", conference=self.first + conference, seat=seat, caller=caller)


@cache
def _places(participants: int, conferences: int, one_by_one: bool) -> tuple[Ints, Ints]:
    caller = np.arange(participants)
    if not one_by_one:
        return caller % conferences, caller // conferences
    conference = caller * conferences // participants
    return conference, caller - np.searchsorted(conference, conference)


def fill(text: str, option: str, **values: int) -> str:
    """Fill the names in braces in.

    >>> fill("sip:{conference:04}@h", "--target", conference=7, seat=0, caller=0)
    'sip:0007@h'

    Raises:
        InputError: another name, or a brace that does not close.
    """
    try:
        names = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
        if names - FIELDS:
            raise ValueError
        return text.format(**values)
    except (ValueError, IndexError, KeyError):
        expected = "{conference}, {seat}, {caller} in braces, such as {conference:04}"
        raise InputError(option, text, expected) from None


def address_of(uri: str) -> Address:
    """Return where the INVITE to a SIP URI goes.

    >>> address_of("sip:600@127.0.0.1")
    Address(host='127.0.0.1', port=5060)

    Raises:
        InputError: no sip: URI over UDP, or a host that has no IPv4 address.
    """
    expected = "sip:USER@HOST[:PORT], over UDP and IPv4"
    scheme, _, rest = uri.partition(":")
    user, _, place = rest.partition("@")
    host, _, port = place.partition(":")
    number = int(port) if port.isascii() and port.isdigit() else -1 if port else SIP_PORT
    if scheme.lower() != "sip" or not user or not host or not 0 < number < 65_536:
        raise InputError("--target", uri, expected)
    try:
        found: Any = socket.getaddrinfo(host, number, socket.AF_INET, socket.SOCK_DGRAM)
    except OSError as error:
        raise InputError("--target", uri, f"{expected}: {error.strerror}") from None
    return Address(*found[0][4][:2])
