"""The command line: help with an example everywhere, exit codes 0 / 1 / 2, named faults."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bridge.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "160", "TERM": "dumb", "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize(
    "command",
    ["serve", "demo", "doctor", "explain", "scenario run", "billing invoice", "bench media"],
)
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = run(*command.split(), "--help")
    assert done.returncode == 0, done.stderr
    assert "Example" in done.stdout, command


def test_the_version_is_printed() -> None:
    assert run("--version").stdout.startswith("tollbridge 0.")


def test_serve_refuses_a_wrong_file_with_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").write_text('[sip]\nlisten = "nowhere"\n')
    done = run("serve", "--config", "bridge.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "bridge.toml: sip.listen: 'nowhere': expected address:port" in done.stderr
    assert "Traceback" not in done.stderr


def test_serve_refuses_a_missing_file(tmp_path: Path) -> None:
    done = run("serve", "--config", "absent.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "absent.toml" in done.stderr


def test_serve_names_a_port_that_is_taken(tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        (tmp_path / "bridge.toml").write_text(f'[sip]\nlisten = "127.0.0.1:{port}"\n')
        done = run("serve", "--config", "bridge.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_prints_what_is_in_force_and_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").write_text((ROOT / "bridge.toml").read_text())
    good = run("doctor", "--config", "bridge.toml", cwd=tmp_path)
    assert "waiting_room.timeout_s = 300" in good.stdout
    assert "771144" not in good.stdout, "a PIN is nobody's business"
    assert "media loops: compiled" in good.stdout or "media loops: numpy, slower" in good.stdout
    (tmp_path / "bridge.toml").write_text("[sip]\nlisten = 5\n")
    bad = run("doctor", "--config", "bridge.toml", cwd=tmp_path)
    assert bad.returncode == 2
    assert "sip.listen" in bad.stdout


def test_an_unknown_account_or_month_is_named(tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").write_text((ROOT / "bridge.toml").read_text())
    assert run("doctor", "--config", "bridge.toml", cwd=tmp_path).returncode == 0
    config = ["--config", "bridge.toml"]
    unknown = run(
        "billing", "invoice", "--account", "nobody", "--month", "2026-02", *config, cwd=tmp_path
    )
    assert unknown.returncode == 2
    assert "nobody" in unknown.stderr
    month = run(
        "billing", "invoice", "--account", "acme", "--month", "2026-13", *config, cwd=tmp_path
    )
    assert month.returncode == 2
    assert "2026-13" in month.stderr
