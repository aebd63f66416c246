"""The names of everything the core may ask to be played; the clips themselves are data elsewhere.

Must not know how a prompt sounds or how long it lasts.
"""

from typing import Final

GREETING: Final = "greeting"
BAD_CODE: Final = "bad-code"
TOO_MANY_TRIES: Final = "too-many-tries"
NO_CODE: Final = "no-code"
PIN: Final = "pin"
BAD_PIN: Final = "bad-pin"
WAITING: Final = "waiting"
WAITING_WARNING: Final = "waiting-warning"
HOLD_MUSIC: Final = "hold-music"
ORGANIZER_WELCOME: Final = "organizer-welcome"
START_HINT: Final = "start-hint"
SECURITY: Final = "security"
BAD_SECURITY: Final = "bad-security"
SAY_NAME: Final = "say-name"
HAS_JOINED: Final = "has-joined"
HAS_LEFT: Final = "has-left"
NOT_OFFERED: Final = "not-offered"
FULL: Final = "full"
LOCKED: Final = "locked"
ALONE: Final = "alone"
PEOPLE: Final = "people"
MUTED: Final = "muted"
UNMUTED: Final = "unmuted"
ALL_MUTED: Final = "all-muted"
ALL_UNMUTED: Final = "all-unmuted"
HAND_RAISED: Final = "hand-raised"
HAND_LOWERED: Final = "hand-lowered"
LECTURE_ON: Final = "lecture-on"
LECTURE_OFF: Final = "lecture-off"
LECTURE_MUTED: Final = "lecture-muted"
RECORDING_ON: Final = "recording-on"
RECORDING_OFF: Final = "recording-off"
RECORDED: Final = "recorded"
NOW_LOCKED: Final = "now-locked"
NOW_UNLOCKED: Final = "now-unlocked"
HELP: Final = "help"
HELP_ORGANIZER: Final = "help-organizer"
CALL_ME: Final = "call-me"
CONTINUE_WARNING: Final = "continue-warning"
BEEP_IN: Final = "beep-in"
BEEP_OUT: Final = "beep-out"

SOUNDS: Final = frozenset({HOLD_MUSIC, BEEP_IN, BEEP_OUT})
"""What is the same in every language."""

PROMPTS: Final = frozenset(
    {value for name, value in vars().copy().items() if name.isupper() and isinstance(value, str)}
)
"""Every name above: who ships the clips checks that each is there."""

CLIP: Final = "clip/"
"""Names that begin so are files that the server made ready; the core knows not which."""

HUNDREDS: Final = 5
NUMBERS: Final = frozenset(
    {f"n-{value}" for value in range(100)}
    | {f"n-{value}00" for value in range(1, HUNDREDS + 1)}
    | {f"n-{value}00-and" for value in range(1, HUNDREDS + 1)}
)
"""The spoken numbers: below 100, whole hundreds, and hundreds that more follows ("cento e")."""


def number(value: int) -> tuple[str, ...]:
    """Return the clips that say a number; above 599 digit by digit.

    >>> number(7), number(200), number(342), number(1066)
    (('n-7',), ('n-200',), ('n-300-and', 'n-42'), ('n-1', 'n-0', 'n-6', 'n-6'))
    """
    hundreds, rest = divmod(value, 100)
    if hundreds > HUNDREDS:
        return tuple(f"n-{digit}" for digit in str(value))
    if not hundreds:
        return (f"n-{rest}",)
    return (f"n-{hundreds}00-and", f"n-{rest}") if rest else (f"n-{hundreds}00",)
