"""The one source of identities: unguessable, unique over restarts. A shell: it asks the system."""

import secrets
from typing import Final

TOKEN_BYTES: Final = 8


TOKENS_AT_ONCE: Final = 256
"""Tokens made of one answer of the system's: asking takes longer than cutting."""

_ready: list[str] = []


def new_id() -> str:
    """Return a fresh token of 16 hexadecimal digits, for legs, tags, branches and occurrences."""
    try:
        return _ready.pop()
    except IndexError:
        text = secrets.token_hex(TOKEN_BYTES * TOKENS_AT_ONCE)
        digits = 2 * TOKEN_BYTES
        _ready.extend(text[at : at + digits] for at in range(0, len(text), digits))
        return _ready.pop()
