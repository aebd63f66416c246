"""The scripts that the Docker image is made of, run outside a container."""

import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.timeout(300)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def copied_as_the_image_does(target: Path) -> Path:
    """Copy what the Dockerfile's COPY lines name, and nothing else."""
    source = target / "source"
    for line in (ROOT / "docker/Dockerfile").read_text().splitlines():
        words = line.split()
        if not words or words[0] != "COPY" or words[-1].startswith("/"):
            continue
        *names, into = words[1:]
        for name in names:
            if (ROOT / name).is_dir():
                ignore = shutil.ignore_patterns("__pycache__", "*.so")
                shutil.copytree(ROOT / name, source / into, ignore=ignore)
            else:
                place = source / (into if into != "./" else name)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, place)
    return source


def test_the_image_installs_checks_itself_and_serves(tmp_path: Path) -> None:
    source = copied_as_the_image_does(tmp_path)
    venv = tmp_path / "venv"
    subprocess.run(["sh", str(source / "docker/install.sh"), str(source), str(venv)], check=True)
    config = tmp_path / "bridge.toml"
    shutil.copy(ROOT / "bridge.toml", config)
    environment = {
        "PATH": "/usr/bin:/bin",
        "TOLLBRIDGE_STORE_URL": f"sqlite:///{tmp_path}/store.db",
        "TOLLBRIDGE_SIP_LISTEN": f"127.0.0.1:{free_port()}",
        "TOLLBRIDGE_RTP_PORT_RANGE": "[45000, 45999]",
    }
    with subprocess.Popen(
        ["sh", str(source / "docker/start.sh"), str(venv), str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        env=environment,
    ) as process:
        assert process.stdout
        said = ""
        for line in process.stdout:
            said += line
            if "Ctrl-C stops it" in line:
                break
        process.send_signal(signal.SIGTERM)
        said += process.stdout.read()
        assert process.wait(30) == 0, said
    assert environment["TOLLBRIDGE_SIP_LISTEN"] in said
    assert "482913#" in said
    assert "wrong" not in said, "doctor found a fault"
    assert "media loops: compiled" in said or shutil.which("cc") is None
