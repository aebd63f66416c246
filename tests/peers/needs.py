"""Which real peers a test needs."""

import shutil

import pytest

from bridge.phone import missing


def need(*programs: str) -> None:
    """Skip with a reason when a program is missing; with CI=true a skip is a failure."""
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed; .ci/run installs it")


def need_pjsip() -> None:
    """Skip with a reason when the wheel pjsua2-python is missing."""
    if reason := missing():
        pytest.skip(reason)
