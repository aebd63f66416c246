"""A softphone on a terminal: what happened above, levels in one line below, keys as they are typed.

Where the output is no terminal it prints the lines alone; where the input is none, what comes in is
taken as keys, so that a script can press them.
"""

import asyncio
import contextlib
import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from bridge.phone.softphone import Levels

REFRESH_S: Final = 0.1
BAR: Final = 16
FLOOR_DBFS: Final = -60.0
LOUD_DBFS: Final = -6.0
READ_BYTES: Final = 256
KEYS_HELP: Final = "0-9 * # press · m mute · h hold · q hang up"


def bar(level_dbfs: float) -> str:
    """Return a level as a bar of 16 places, from -60 to 0 dBFS.

    >>> bar(-60.0), bar(-30.0), bar(0.0)
    ('················', '▮▮▮▮▮▮▮▮········', '▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮')
    """
    share = (level_dbfs - FLOOR_DBFS) / -FLOOR_DBFS
    full = round(min(max(share, 0.0), 1.0) * BAR)
    return "▮" * full + "·" * (BAR - full)


class Screen:
    """Shows one call."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def tell(self, line: str) -> None:
        """Print what happened."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def meters(self, line: Callable[[], Text]) -> Iterator[None]:
        """Keep a line below everything, where the output is a terminal."""
        if not self._console.is_terminal:
            yield
            return
        with Live(
            get_renderable=line,
            console=self._console,
            refresh_per_second=1 / REFRESH_S,
            transient=True,
        ):
            yield


def meter_line(state: str, seconds: float, levels: Levels) -> Text:
    """Return the line of meters."""
    clock = f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
    text = Text(f"{state:<8} {clock:>5}  mic ", no_wrap=True, overflow="crop")
    for label, level in (("", levels.said), ("  ear ", levels.heard)):
        style = "red" if level > LOUD_DBFS else "green"
        text.append(label).append(bar(level), style)
        text.append(f" {level:4.0f}" if level > FLOOR_DBFS else "    -")
    return text.append(f"  {KEYS_HELP}", "dim")


@contextlib.contextmanager
def typed(on_key: Callable[[str], None]) -> Iterator[None]:
    """Give each character that is typed or piped in to `on_key`."""
    loop = asyncio.get_running_loop()
    fd = sys.stdin.fileno()
    kept = None
    if os.isatty(fd):
        kept = termios.tcgetattr(fd)
        tty.setcbreak(fd)

    def on_readable() -> None:
        data = os.read(fd, READ_BYTES)
        if not data:
            loop.remove_reader(fd)  # the end of what is piped in is no hanging up
        for letter in data.decode("ascii", "ignore"):
            on_key(letter)

    readable = True
    try:
        loop.add_reader(fd, on_readable)
    except (OSError, ValueError):  # a plain file, or /dev/null: nobody types
        readable = False
    try:
        yield
    finally:
        if readable:
            loop.remove_reader(fd)
        if kept is not None:
            termios.tcsetattr(fd, termios.TCSADRAIN, kept)
