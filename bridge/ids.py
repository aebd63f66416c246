"""The one source of identities: unguessable, unique over restarts. A shell: it asks the system."""

import secrets
from typing import Final

TOKEN_BYTES: Final = 8


def new_id() -> str:
    """Return a fresh token of 16 hexadecimal digits, for legs, tags, branches and occurrences."""
    return secrets.token_hex(TOKEN_BYTES)
