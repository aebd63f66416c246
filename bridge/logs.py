"""Where log lines go: standard error, for people or as JSON lines. A shell."""

import contextlib
import logging
import re
import sys
import threading
import time
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import structlog

from bridge.units import NS_PER_S


def set_up_logs(*, as_json: bool = False, quiet: bool = False) -> None:
    """Configure structlog once, for a command; without it a library user keeps his own set-up."""
    processors: list[structlog.typing.Processor]
    if as_json:
        processors = [
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    elif sys.stderr.isatty():
        processors = [
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(colors=True),
        ]
    else:
        processors = [structlog.processors.format_exc_info, _plain_line]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.WARNING if quiet else logging.INFO
        ),
        logger_factory=_ToStandardError,
        cache_logger_on_first_use=True,
    )


def _plain_line(_logger: object, method: str, event: structlog.typing.EventDict) -> str:
    """Write a line for a file or a pipe: a tenth of the time of the renderer for people's eyes."""
    seconds, rest_ns = divmod(time.time_ns(), NS_PER_S)
    name, fault = event.pop("event"), event.pop("exception", "")
    rest = " ".join([f"{key}={event[key]}" for key in sorted(event)])
    if not _is_plain(rest, event):
        rest = " ".join([f"{key}={_shown(event[key])}" for key in sorted(event)])
    line = f"{_stamp(seconds)}.{rest_ns // 1_000:06d}Z [{method:<8}] {name:<30} {rest}".rstrip()
    return f"{line}\n{fault}" if fault else line


@lru_cache(maxsize=2)
def _stamp(seconds: int) -> str:
    """Return a second as lines begin with it; many lines share one."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if text and _PLAIN.fullmatch(text) else repr(text)


_PLAIN: Final = re.compile(r"[\x21\x23-\x3c\x3e-\x7e]+")
"""What needs no quotes: no space, quote or equals sign."""

_PLAIN_REST: Final = re.compile(
    r"[^ =]+=[\x21\x23-\x3c\x3e-\x7e]+(?: [^ =]+=[\x21\x23-\x3c\x3e-\x7e]+)*"
)
_AS_THEY_ARE: Final = frozenset({str, int, bool, type(None)})
"""What is written the same way by `str` and, but for quotes, `repr`."""


def _is_plain(rest: str, event: structlog.typing.EventDict) -> bool:
    """Return whether no value needs quotes, by one look at all of them: that is nearly always so.

    With as many spaces and equals signs as pairs have of their own, no value can hold one.
    """
    count = len(event)
    return (
        rest.count("=") == count
        and rest.count(" ") == count - 1
        and _PLAIN_REST.fullmatch(rest) is not None
        and _AS_THEY_ARE.issuperset(map(type, event.values()))
    )


_together = threading.local()


@contextlib.contextmanager
def in_one_write() -> Iterator[None]:
    """Have the lines that this thread logs meanwhile printed at once: a write each costs more."""
    lines: list[str] = []
    _together.lines = lines
    try:
        yield
    finally:
        _together.lines = None
        if lines:
            _write("".join(lines))


def _write(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text)
        sys.stderr.flush()


class _ToStandardError:
    """Prints a line to what standard error is now; one that cannot be printed stops nothing.

    A closed pipe (`tollbridge serve 2>&1 | head`) must end no thread that commits facts.
    """

    def __init__(self, *_arguments: object) -> None:
        pass

    def msg(self, message: str) -> None:
        """Print one line."""
        kept: list[str] | None = getattr(_together, "lines", None)
        if kept is None:
            _write(f"{message}\n")
        else:
            kept.append(f"{message}\n")

    debug = info = warning = error = critical = exception = log = fatal = failure = warn = msg
