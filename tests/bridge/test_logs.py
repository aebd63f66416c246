"""Log lines go to standard error, and a line that cannot be printed stops nothing."""

import io
import sys
from pathlib import Path

import pytest
import structlog

from bridge.logs import in_one_write, set_up_logs


def test_lines_go_to_what_standard_error_is_now(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(as_json=True)
    structlog.get_logger("test").info("leg.answered", leg="leg-1")
    assert '"event": "leg.answered"' in capsys.readouterr().err


def test_quiet_keeps_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(quiet=True)
    log = structlog.get_logger("test")
    log.info("leg.answered")
    log.warning("worker.lost")
    said = capsys.readouterr().err
    assert "worker.lost" in said
    assert "leg.answered" not in said


def test_a_closed_pipe_ends_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up_logs()
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    structlog.get_logger("test").error("store.unavailable")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("leg-1/3", "leg-1/3"),
        (None, "None"),
        (True, "True"),
        (-7, "-7"),
        ("", "''"),
        ("wrong code", "'wrong code'"),
        ("a=b", "'a=b'"),
        ("a b=c", "'a b=c'"),
        ('say "hi"', "'say \"hi\"'"),
        ("Zoë", "'Zoë'"),
        ("a\nb", r"'a\nb'"),
        (Path("a"), "PosixPath('a')"),
    ],
)
def test_a_plain_line_quotes_what_could_be_taken_for_more(
    value: object, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Alone, and in the middle of others, each value is read back as it was."""
    set_up_logs()
    structlog.get_logger("test").info("leg.left", leg="leg-1", name=value, session="s1")
    structlog.get_logger("test").info("leg.left", name=value)
    both = capsys.readouterr().err.splitlines()
    rests = [line.partition("leg.left")[2].strip() for line in both]
    assert rests == [f"leg=leg-1 name={shown} session=s1", f"name={shown}"]


def test_lines_within_are_printed_at_once_in_their_order_and_none_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writes: list[str] = []
    monkeypatch.setattr(sys.stderr, "write", writes.append)
    set_up_logs()
    log = structlog.get_logger("test")

    def three() -> None:
        with in_one_write():
            log.info("leg.answered")
            log.info("leg.left")
            raise ValueError("a fault between the two")

    with pytest.raises(ValueError, match="between"):
        three()
    with in_one_write():
        pass
    log.info("leg.waiting")
    names = [[line.split("]")[1].strip() for line in text.splitlines()] for text in writes]
    assert names == [["leg.answered", "leg.left"], ["leg.waiting"]]
