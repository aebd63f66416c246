"""Who is told what happens to a call or an account, by number."""

import itertools
from collections.abc import Callable
from typing import Any

Notice = Any
"""A call's event or block, an account's `("incoming", …)` or `("registration", …)`."""


class Router:
    """Hands notices on to whoever attached himself to a number. Numbers are never used again.

    Attributes:
        taken: phones that are in calls, or about to be.
    """

    def __init__(self) -> None:
        self.taken = 0
        self.numbers = itertools.count(1)
        self._heirs: dict[int, Callable[[Notice], None]] = {}
        self._ends: list[Callable[[str], None]] = []

    def attach(self, number: int, told: Callable[[Notice], None]) -> None:
        """Tell what happens to a number from now on."""
        self._heirs[number] = told

    def detach(self, number: int) -> None:
        """Tell it no more."""
        self._heirs.pop(number, None)

    def when_lost(self, told: Callable[[str], None]) -> None:
        """Tell when there is nothing more to be had here, and why."""
        self._ends.append(told)

    def notify(self, number: int, notice: Notice) -> None:
        """Hand a notice on; nobody may be there any more."""
        if told := self._heirs.get(number):
            told(notice)

    def lost(self, why: str) -> None:
        """Say that nothing more will come."""
        ends, self._ends = self._ends, []
        for told in ends:
            told(why)
        self._heirs.clear()
