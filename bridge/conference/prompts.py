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
NOT_OFFERED: Final = "not-offered"
FULL: Final = "full"
ALONE: Final = "alone"
MUTED: Final = "muted"
UNMUTED: Final = "unmuted"
HELP: Final = "help"
CONTINUE_WARNING: Final = "continue-warning"
BEEP_IN: Final = "beep-in"
BEEP_OUT: Final = "beep-out"

PROMPTS: Final = frozenset(
    {
        GREETING,
        BAD_CODE,
        TOO_MANY_TRIES,
        NO_CODE,
        PIN,
        BAD_PIN,
        WAITING,
        WAITING_WARNING,
        HOLD_MUSIC,
        ORGANIZER_WELCOME,
        START_HINT,
        NOT_OFFERED,
        FULL,
        ALONE,
        MUTED,
        UNMUTED,
        HELP,
        CONTINUE_WARNING,
        BEEP_IN,
        BEEP_OUT,
    }
)
"""Every name above: who ships the clips checks that each is there."""
