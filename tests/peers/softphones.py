"""Other people's softphones, driven by what one types into them: baresip and linphonec.

Each speaks a tone from a WAV file, writes what it hears into another, and says what it does into
a log. Nothing of ours is in them, so what they accept is what a user's phone accepts.
"""

import contextlib
import os
import re
import subprocess
import time
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tests.peers.sip_wire import HOST

RATE_HZ: Final = 8_000
TONE_S: Final = 90
TONE_SIZE: Final = 5_193  # -16 dBFS
WINDOW: Final = 800
PATIENCE_S: Final = 15.0
BARESIP_CODECS: Final = {"g711": (RATE_HZ, 1), "g722": (16_000, 1), "opus": (48_000, 2)}
"""Modules, and the sample rate and channels that they want of a file."""

BARESIP_MODULES: Final = "/usr/lib/baresip/modules"


@dataclass
class Softphone:
    """One phone in a process: type into it, read what it says, listen to what it heard."""

    process: subprocess.Popen[str]
    log: Path
    home: Path

    def type(self, line: str) -> None:
        """Type a line."""
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def says(self, pattern: str, *, again: str = "") -> None:
        """Wait until the phone has said something; `again` is typed until it has."""
        deadline = time.monotonic() + PATIENCE_S
        while not re.search(pattern, self.log.read_text(errors="replace")):
            assert self.process.poll() is None, self.log.read_text(errors="replace")[-3_000:]
            assert time.monotonic() < deadline, self.log.read_text(errors="replace")[-3_000:]
            if again:
                self.type(again)
            time.sleep(0.2)

    def heard(self) -> NDArray[np.float64]:
        """Return what the phone has heard, all of it, after it has ended."""
        folder = self.home / "heard"
        paths = sorted(folder.glob("*dec.wav")) or sorted(folder.glob("*.wav"))
        assert paths
        return np.concatenate([_read_wav(path) for path in paths])

    def quit(self, word: str) -> None:
        """End the phone as its user would."""
        self.type(word)
        assert self.process.wait(PATIENCE_S) == 0


def _read_wav(path: Path) -> NDArray[np.float64]:
    with wave.open(str(path)) as file:
        assert file.getsampwidth() == 2
        channels, step = file.getnchannels(), file.getframerate() // RATE_HZ
        data = file.readframes(file.getnframes())
    samples = np.frombuffer(data, "<i2").astype(np.float64)[::channels]
    kept = samples[: len(samples) // step * step]
    return np.asarray(
        kept.reshape(-1, step).mean(axis=1)
    )  # of a wideband phone: tones here are low ones


def write_tone(path: Path, tone_hz: int, *, rate_hz: int = RATE_HZ, channels: int = 1) -> None:
    """Write a WAV file of one tone, the same in each channel."""
    at = np.arange(rate_hz * TONE_S)
    pcm = (TONE_SIZE * np.sin(2 * np.pi * tone_hz * at / rate_hz)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(np.repeat(pcm, channels).tobytes())


def seconds_of_tone(pcm: NDArray[np.float64], tone_hz: int) -> float:
    """Return for how long a tone is most of what is heard, in windows of 100 ms."""
    windows = pcm[: len(pcm) // WINDOW * WINDOW].reshape(-1, WINDOW)
    turn = np.exp(-2j * np.pi * tone_hz * np.arange(WINDOW) / RATE_HZ)
    level = 2 * np.abs(windows @ turn) / WINDOW
    return float(np.count_nonzero(level > TONE_SIZE / 4)) * WINDOW / RATE_HZ


def seconds_of_sound(pcm: NDArray[np.float64]) -> float:
    """Return for how long anything is heard."""
    windows = pcm[: len(pcm) // WINDOW * WINDOW].reshape(-1, WINDOW)
    loud = np.sqrt(np.mean(windows**2, axis=1)) > 100
    return float(np.count_nonzero(loud)) * WINDOW / RATE_HZ


@contextlib.contextmanager
def _running(command: Sequence[str], home: Path) -> Iterator[Softphone]:
    log = home / "phone.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=home,
            env={**os.environ, "HOME": str(home)},
        )
        try:
            yield Softphone(process, log, home)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(10)
            assert process.stdin
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()


@contextlib.contextmanager
def baresip(
    home: Path,
    *,
    user: str,
    bridge: str,
    tone_hz: int,
    rtp_port: int,
    transport: str = "udp",
    answers: bool = False,
    codec: str = "g711",
    trusted: Path | None = None,
) -> Iterator[Softphone]:
    """Run baresip with one account that registers; `answers` makes it answer at once.

    `codec` is the module of the only codec that it has; `trusted` the certificate that it wants
    to see over TLS.
    """
    (home / "heard").mkdir(parents=True)
    rate_hz, channels = BARESIP_CODECS[codec]
    write_tone(home / "tone.wav", tone_hz, rate_hz=rate_hz, channels=channels)
    modules = ("stdio", "cons", codec, "aufile", "sndfile", "account", "menu")
    lines = [
        f"sip_listen {HOST}:0",
        f"net_interface {HOST}",  # also on a machine that has no other
        f"audio_source aufile,{home / 'tone.wav'}",
        "audio_alert aufile,/dev/null",
        f"rtp_ports {rtp_port}-{rtp_port + 9}",
        f"snd_path {home / 'heard'}",
        f"module_path {BARESIP_MODULES}",
        *(f"module {name}.so" for name in modules),
        *([f"sip_cafile {trusted}", "sip_verify_server yes"] if trusted else []),
    ]
    (home / "config").write_text("\n".join(lines) + "\n")
    account = f"<sip:{user}@{bridge};transport={transport}>;auth_user={user};auth_pass=secret"
    extra = ";answermode=auto" if answers else ""
    (home / "accounts").write_text(f"{account};regint=120;dtmfmode=rtpevent{extra}\n")
    with _running(["baresip", "-f", str(home)], home) as phone:
        phone.says("registered successfully")
        yield phone


@contextlib.contextmanager
def linphonec(
    home: Path, *, user: str, bridge: str, tone_hz: int, sip_port: int
) -> Iterator[Softphone]:
    """Run linphonec, with WAV files for a sound card, and register."""
    (home / "heard").mkdir(parents=True)
    (home / ".local/share/linphone").mkdir(parents=True)
    write_tone(home / "tone.wav", tone_hz)
    rc = home / "linphonerc"
    rc.write_text(f"[sip]\nsip_port={sip_port}\nsip_tcp_port={sip_port}\n")
    with _running(["linphonec", "-c", str(rc)], home) as phone:
        phone.type(f"register sip:{user}@{bridge} sip:{bridge} secret")
        phone.says("registered, identity", again="status register")
        phone.type("soundcard use files")
        phone.type(f"play {home / 'tone.wav'}")
        phone.type(f"record {home / 'heard/linphone.wav'}")
        yield phone
