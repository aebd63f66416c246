"""The error tree; knows nothing of the project but names.

TollbridgeError           .code: stable snake_case, used in CDRs, logs and the API
├── RemoteFault           somebody else's mistake
│   └── SipRemoteError    .status: what to answer with
├── LocalMisuse           a caller inside this program broke a rule
│   ├── IllegalTransition
│   └── ConferenceFull
├── InputError            a person's file, argument or environment is wrong: exit code 2
└── OperatingTrouble      a disk, socket or process failed us
    ├── StoreUnavailable
    └── WorkerLost
"""

from typing import ClassVar


class TollbridgeError(Exception):
    """Anything this program raises on purpose."""

    code: ClassVar[str] = "tollbridge_error"


class RemoteFault(TollbridgeError):
    """What came from outside breaks a rule."""

    code = "remote_fault"


class SipRemoteError(RemoteFault):
    """A SIP message that is answered with `status`."""

    code = "sip_remote_error"

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason


class LocalMisuse(TollbridgeError):
    """Code in this program did what it must not."""

    code = "local_misuse"


class IllegalTransition(LocalMisuse):
    """A state machine got an event that its table does not hold."""

    code = "illegal_transition"

    def __init__(self, state: object, event: object) -> None:
        super().__init__(f"no transition from {state} on {event!r}")


class ConferenceFull(LocalMisuse):
    """A participant was put into a conference that has reached its limit."""

    code = "conference_full"


class InputError(TollbridgeError):
    """Bad input by a person: names the place, the value and what was expected.

    >>> str(InputError("bridge.toml: sip.listen", "nowhere", "host:port"))
    "bridge.toml: sip.listen: 'nowhere': expected host:port"
    """

    code = "bad_input"

    def __init__(self, place: str, value: object, expected: str) -> None:
        super().__init__(f"{place}: {value!r}: expected {expected}")
        self.place = place
        self.value = value
        self.expected = expected


class OperatingTrouble(TollbridgeError):
    """The machine below failed: disk, socket, process."""

    code = "operating_trouble"


class StoreUnavailable(OperatingTrouble):
    """A fact could not be committed: disk full, locked or gone."""

    code = "store_unavailable"


class WorkerLost(OperatingTrouble):
    """A media worker died or does not answer."""

    code = "worker_lost"
