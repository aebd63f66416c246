"""What a row of keys means: access codes, PINs and controls, as one table-driven machine (D20).

Knows keys and pauses between them. It must not know whether a code or PIN is right, what a
control does, or any other state of the leg. One collector serves a leg through all its stages,
so that keys pressed ahead of the prompts mean what they would mean later.

Within the *PIN window* that follows the code, a star and digits are read as a PIN, and only a
lone `*d` that nothing follows is a control. Outside of it `*d` is a control at once, and `*0`
begins a PIN.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from bridge.errors import IllegalTransition
from bridge.frozen import frozen
from bridge.units import NowNs

KEYS: Final = "0123456789*#ABCD"

ENTRY_KEYS_MAX: Final = 32
"""An entry that grows beyond this is taken as it is: no code or PIN is that long."""


class Stage(Enum):
    """What the collector has before it."""

    CODE = auto()  # the access code, up to `#`
    OPEN = auto()  # nothing yet, within the PIN window
    OPEN_STAR = auto()  # `*` within the window
    OPEN_DIGIT = auto()  # `*d` within the window: a PIN's first digit, or a control
    OPEN_ZERO = auto()  # `*0` within the window
    OPEN_PIN = auto()  # `*dd...` within the window
    IDLE = auto()  # nothing yet
    STAR = auto()  # `*`
    ZERO = auto()  # `*0`
    PIN = auto()  # `*0d...`
    HASH = auto()  # `#`


class Press(Enum):
    """What can happen to a collector: classes of keys, and the pause after them."""

    ZERO = auto()
    DIGIT = auto()
    STAR = auto()
    HASH = auto()
    PAUSE = auto()


class Act(Enum):
    """What a transition does with the keys so far and the new one."""

    SKIP = auto()  # neither matters
    KEEP = auto()  # add the key
    BEGIN = auto()  # start over with the key
    DROP = auto()  # forget all
    TAKE_CODE = auto()
    TAKE_PIN = auto()  # what follows `*0`
    TAKE_EITHER = auto()  # what follows `*`, or `*0`
    TAKE_CONTROL = auto()  # the keys with the new one
    TAKE_BEFORE = auto()  # the keys are a control; the new one begins the next entry


TRANSITIONS: Final[Mapping[Stage, Mapping[Press, tuple[Stage, Act]]]] = {
    Stage.CODE: {
        Press.ZERO: (Stage.CODE, Act.KEEP),
        Press.DIGIT: (Stage.CODE, Act.KEEP),
        Press.STAR: (Stage.CODE, Act.DROP),
        Press.HASH: (Stage.CODE, Act.TAKE_CODE),
        Press.PAUSE: (Stage.CODE, Act.TAKE_CODE),
    },
    Stage.OPEN: {
        Press.ZERO: (Stage.OPEN, Act.SKIP),
        Press.DIGIT: (Stage.OPEN, Act.SKIP),
        Press.STAR: (Stage.OPEN_STAR, Act.BEGIN),
        Press.HASH: (Stage.HASH, Act.BEGIN),
    },
    Stage.OPEN_STAR: {
        Press.ZERO: (Stage.OPEN_ZERO, Act.KEEP),
        Press.DIGIT: (Stage.OPEN_DIGIT, Act.KEEP),
        Press.STAR: (Stage.OPEN_STAR, Act.BEGIN),
        Press.HASH: (Stage.OPEN, Act.TAKE_CONTROL),
        Press.PAUSE: (Stage.OPEN, Act.DROP),
    },
    Stage.OPEN_DIGIT: {
        Press.ZERO: (Stage.OPEN_PIN, Act.KEEP),
        Press.DIGIT: (Stage.OPEN_PIN, Act.KEEP),
        Press.STAR: (Stage.OPEN_STAR, Act.TAKE_BEFORE),
        Press.HASH: (Stage.OPEN, Act.TAKE_EITHER),
        Press.PAUSE: (Stage.OPEN, Act.TAKE_BEFORE),
    },
    Stage.OPEN_ZERO: {
        Press.ZERO: (Stage.OPEN_PIN, Act.KEEP),
        Press.DIGIT: (Stage.OPEN_PIN, Act.KEEP),
        Press.STAR: (Stage.OPEN_STAR, Act.BEGIN),
        Press.HASH: (Stage.OPEN, Act.TAKE_EITHER),
        Press.PAUSE: (Stage.OPEN, Act.DROP),
    },
    Stage.OPEN_PIN: {
        Press.ZERO: (Stage.OPEN_PIN, Act.KEEP),
        Press.DIGIT: (Stage.OPEN_PIN, Act.KEEP),
        Press.STAR: (Stage.OPEN_STAR, Act.BEGIN),
        Press.HASH: (Stage.OPEN, Act.TAKE_EITHER),
        Press.PAUSE: (Stage.OPEN, Act.TAKE_EITHER),
    },
    Stage.IDLE: {
        Press.ZERO: (Stage.IDLE, Act.SKIP),
        Press.DIGIT: (Stage.IDLE, Act.SKIP),
        Press.STAR: (Stage.STAR, Act.BEGIN),
        Press.HASH: (Stage.HASH, Act.BEGIN),
    },
    Stage.STAR: {
        Press.ZERO: (Stage.ZERO, Act.KEEP),
        Press.DIGIT: (Stage.IDLE, Act.TAKE_CONTROL),
        Press.STAR: (Stage.STAR, Act.BEGIN),
        Press.HASH: (Stage.IDLE, Act.TAKE_CONTROL),
        Press.PAUSE: (Stage.IDLE, Act.DROP),
    },
    Stage.ZERO: {
        Press.ZERO: (Stage.PIN, Act.KEEP),
        Press.DIGIT: (Stage.PIN, Act.KEEP),
        Press.STAR: (Stage.STAR, Act.BEGIN),
        Press.HASH: (Stage.IDLE, Act.DROP),
        Press.PAUSE: (Stage.IDLE, Act.DROP),
    },
    Stage.PIN: {
        Press.ZERO: (Stage.PIN, Act.KEEP),
        Press.DIGIT: (Stage.PIN, Act.KEEP),
        Press.STAR: (Stage.STAR, Act.BEGIN),
        Press.HASH: (Stage.IDLE, Act.TAKE_PIN),
        Press.PAUSE: (Stage.IDLE, Act.TAKE_PIN),
    },
    Stage.HASH: {
        Press.ZERO: (Stage.IDLE, Act.TAKE_CONTROL),
        Press.DIGIT: (Stage.IDLE, Act.TAKE_CONTROL),
        Press.STAR: (Stage.STAR, Act.BEGIN),
        Press.HASH: (Stage.HASH, Act.BEGIN),
        Press.PAUSE: (Stage.IDLE, Act.DROP),
    },
}
"""Total for keys in every stage; a pause cannot come where nothing was begun."""

_PRESSES: Final[Mapping[str, Press]] = {
    "0": Press.ZERO,
    "*": Press.STAR,
    "#": Press.HASH,
    **dict.fromkeys("123456789", Press.DIGIT),
}


@frozen
class CodeKeyed:
    """An access code was keyed; `ended` is false when a pause, not `#`, ended it."""

    code: str
    ended: bool


@frozen
class PinKeyed:
    """A PIN was keyed; right when any of its readings is."""

    readings: tuple[str, ...]


@frozen
class ControlKeyed:
    """A control was keyed: "*2", "#2", "*#"."""

    keys: str


Keyed = CodeKeyed | PinKeyed | ControlKeyed


@dataclass(slots=True)
class KeyCollector:
    """The keys of one leg that have no meaning yet.

    Attributes:
        stage: what they may become.
        keys: those keys; ENTRY_KEYS_MAX at most.
        window_until_ns: end of the PIN window, used in stage OPEN only.
    """

    stage: Stage = Stage.CODE
    keys: str = ""
    window_until_ns: int = 0

    @property
    def pending(self) -> bool:
        """True when something was begun, so that a pause means something."""
        return bool(self.keys)

    def let_in(self, window_until_ns: int | None) -> None:
        """Leave the code behind; with a time, open the PIN window until then."""
        self.keys = ""
        self.stage = Stage.IDLE if window_until_ns is None else Stage.OPEN
        self.window_until_ns = window_until_ns or 0

    def close_window(self) -> None:
        """Read what comes next as outside the PIN window."""
        self.window_until_ns = 0

    def press(self, key: str, now_ns: NowNs) -> Keyed | None:
        """Take one key; return what it completed. A to D mean nothing and break nothing."""
        press = _PRESSES.get(key)
        if press is None:
            return None
        if self.stage is Stage.OPEN and now_ns >= self.window_until_ns:
            self.stage = Stage.IDLE
        return self._apply(press, key)

    def pause(self) -> Keyed | None:
        """Take notice that no key followed in time."""
        return self._apply(Press.PAUSE, "")

    def _apply(self, press: Press, key: str) -> Keyed | None:
        found = TRANSITIONS[self.stage].get(press)
        if found is None:
            raise IllegalTransition(self.stage, press)
        stage, act = found
        if act is Act.KEEP and len(self.keys) == ENTRY_KEYS_MAX:
            return self._apply(Press.HASH, "#")
        self.stage = stage
        keyed = _keyed(act, self.keys, key)
        if act is Act.KEEP:
            self.keys += key
        elif act is Act.BEGIN or act is Act.TAKE_BEFORE:
            self.keys = key
        elif act is not Act.SKIP:
            self.keys = ""
        return keyed


def _keyed(act: Act, keys: str, key: str) -> Keyed | None:
    """Return what `act` makes of the keys so far and the new one."""
    if act is Act.TAKE_CODE:
        return CodeKeyed(keys, ended=key == "#")
    if act is Act.TAKE_PIN:
        return PinKeyed((keys[2:],))
    if act is Act.TAKE_EITHER:
        second = (keys[2:],) if keys.startswith("*0") and len(keys) > 2 else ()
        return PinKeyed((keys[1:], *second))
    if act is Act.TAKE_CONTROL:
        return ControlKeyed(keys + key)
    return ControlKeyed(keys) if act is Act.TAKE_BEFORE else None
