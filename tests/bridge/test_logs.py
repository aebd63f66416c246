"""Log lines go to standard error, and a line that cannot be printed stops nothing."""

import io
import sys

import pytest
import structlog

from bridge.logs import set_up_logs


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
