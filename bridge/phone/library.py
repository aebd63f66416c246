"""The one door to the pjsua2 wheel: whether it is there, and what to do when it is not."""

import importlib.util
import sys
from types import ModuleType
from typing import Final

from bridge.errors import InputError

LAST_PYTHON: Final = (3, 12)
"""The newest Python that the wheel `pjsua2-python` is made for."""


def missing() -> str:
    """Return why there are no PJSIP phones here, "" when there are."""
    if sys.modules.get("pjsua2", sys) is None or importlib.util.find_spec("pjsua2") is None:
        advice = "pip install 'tollbridge[phone]'"
        if sys.version_info[:2] > LAST_PYTHON:
            last = ".".join(map(str, LAST_PYTHON))
            advice = f"it has no wheel for this Python, the last one is for {last}"
        return f"pjsua2-python is not installed: {advice}"
    return ""


def need(place: str) -> None:
    """Do nothing where PJSIP phones can be had.

    Raises:
        InputError: the wheel is missing; `place` is who needs it.
    """
    if reason := missing():
        raise InputError(place, "pjsua2", f"the package that PJSIP phones need; {reason}")


def directors() -> ModuleType:
    """Return the module that holds PJSIP, once it is wanted."""
    need("phone")
    from bridge.phone import directors as module

    return module
