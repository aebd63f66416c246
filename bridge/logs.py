"""Where log lines go: standard error, for people or as JSON lines. A shell."""

import contextlib
import logging
import sys

import structlog


def set_up_logs(*, as_json: bool = False, quiet: bool = False) -> None:
    """Configure structlog once, for a command; without it a library user keeps his own set-up."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info if as_json else _as_it_is,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.WARNING if quiet else logging.INFO
        ),
        logger_factory=_ToStandardError,
    )


class _ToStandardError:
    """Prints a line to what standard error is now; one that cannot be printed stops nothing.

    A closed pipe (`tollbridge serve 2>&1 | head`) must end no thread that commits facts.
    """

    def __init__(self, *_arguments: object) -> None:
        pass

    def msg(self, message: str) -> None:
        """Print one line."""
        with contextlib.suppress(OSError, ValueError):
            print(message, file=sys.stderr, flush=True)

    debug = info = warning = error = critical = exception = log = fatal = failure = warn = msg


def _as_it_is(
    _logger: object, _name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    return event
