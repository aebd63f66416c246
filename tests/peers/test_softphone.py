"""`tollbridge phone`: a tone in the virtual microphone arrives at another phone, and back."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from bridge.lab.voice import sine
from bridge.phone import Account, Call, Endpoint, KeyReceived, Media, MediaChanged, wav
from bridge.phone.values import Samples
from bridge.phone.wav import WavFile
from bridge.units import NS_PER_S, SAMPLE_RATE_HZ
from tests.peers.needs import need, need_pjsip
from tests.peers.pulse import Pulse, pulse

pytestmark = [pytest.mark.peer, pytest.mark.timeout(240)]

OURS_HZ: Final = 700
THEIRS_HZ: Final = 450
RATE_HZ: Final = 16_000
NO_SOUND: Final = "sound: 'PortAudio library not found': expected PortAudio"


@pytest.fixture
async def other() -> AsyncIterator[tuple[Endpoint, Account]]:
    """Return a phone to call."""
    need_pjsip()
    async with Endpoint() as endpoint, endpoint.account("sip:ben@127.0.0.1") as ben:
        yield endpoint, ben


@pytest.fixture
def sound(tmp_path: Path) -> Iterator[Pulse]:
    need("pulseaudio", "pactl", "paplay", "parec")
    with pulse(tmp_path) as server:
        yield server


async def softphone(
    *arguments: str, env: Mapping[str, str] | None = None
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bridge.cli", "phone", *arguments,
        env=env, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def answered(ben: Account) -> Call:
    async with asyncio.timeout(20):
        async for call in ben.calls():
            await call.answer()
            await call.play(sine(THEIRS_HZ, SAMPLE_RATE_HZ), loop=True)
            return call
    raise AssertionError


def share_of_tone(pcm: Samples, rate_hz: int, tone_hz: int) -> float:
    """Return how much of a sound's power is one tone."""
    signal = pcm.astype(np.float64)
    spectrum = np.abs(np.fft.rfft(signal * np.hanning(len(signal)))) ** 2
    at = np.fft.rfftfreq(len(signal), 1 / rate_hz)
    return float(spectrum[np.abs(at - tone_hz) < 10].sum() / max(spectrum.sum(), 1.0))


async def hears(call: Call, tone_hz: int) -> bool:
    """Wait until a call has heard a tone, and nothing else, for half a second."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        await asyncio.sleep(0.2)
        now = time.monotonic_ns()
        pcm = (await call.heard(now - NS_PER_S // 2, now)).samples
        if len(pcm) > SAMPLE_RATE_HZ // 3 and share_of_tone(pcm, SAMPLE_RATE_HZ, tone_hz) > 0.9:
            return True
    return False


def write_tone(path: Path, seconds: float) -> Path:
    at = np.arange(int(RATE_HZ * seconds))
    with WavFile(path, RATE_HZ) as file:
        file.write(np.round(8_000 * np.sin(2 * np.pi * OURS_HZ * at / RATE_HZ)).astype(np.int16))
    return path


async def test_a_tone_in_the_microphone_arrives_and_theirs_is_played(
    sound: Pulse, other: tuple[Endpoint, Account], tmp_path: Path
) -> None:
    endpoint, ben = other
    microphone = sound.play_into_microphone(write_tone(tmp_path / "tone.wav", 30))
    phone = await softphone(
        "call", f"sip:ben@{endpoint.address}", "--keys", "12#", "--json", env=sound.env
    )
    loudspeaker = None
    try:
        call = await answered(ben)
        assert await hears(call, OURS_HZ)
        loudspeaker = sound.record_loudspeaker(tmp_path / "speaker.wav")
        assert phone.stdin
        phone.stdin.write(b"5mh")
        await asyncio.sleep(2.5)
        phone.stdin.write(b"h")
        await asyncio.sleep(1)
        phone.stdin.write(b"q")
        said, told = await asyncio.wait_for(phone.communicate(), 20)
    finally:
        microphone.terminate()
        microphone.wait(10)
        if loudspeaker is not None:
            loudspeaker.terminate()
            loudspeaker.wait(10)
        if phone.returncode is None:
            phone.kill()
    assert phone.returncode == 0, told.decode()
    events = call.so_far
    assert [e.key for e in events if isinstance(e, KeyReceived)] == ["1", "2", "#", "5"]
    changes = [event.media for event in events if isinstance(event, MediaChanged)]
    assert changes == [Media.ACTIVE, Media.HELD_BY_PEER, Media.ACTIVE]
    lines = told.decode().splitlines()
    assert {"muted", "on hold", "resumed", "pressed 12#"} <= set(lines)
    counted = json.loads(said)
    assert counted["codec"] == "PCMU/8000"
    assert counted["received"] > 50
    played, rate_hz = wav.read(tmp_path / "speaker.wav")
    assert share_of_tone(played, rate_hz, THEIRS_HZ) > 0.9


async def test_files_need_no_sound_card(other: tuple[Endpoint, Account], tmp_path: Path) -> None:
    endpoint, ben = other
    tone, heard = write_tone(tmp_path / "tone.wav", 30), tmp_path / "heard.wav"
    phone = await softphone(
        "call", "ben", "--via", endpoint.address, "--wav", str(tone), "--record", str(heard),
        "--seconds", "4", env=without_sound(tmp_path),
    )  # fmt: skip
    call = await answered(ben)
    assert "sip:" in call.uri
    assert await hears(call, OURS_HZ)
    told, _ = await asyncio.wait_for(phone.communicate(), 20)
    assert phone.returncode == 0
    assert "answered\n" in told.decode()
    assert "over after " in told.decode()
    recorded, rate_hz = wav.read(heard)
    assert rate_hz == RATE_HZ
    assert 3 < len(recorded) / rate_hz < 5
    assert share_of_tone(recorded[rate_hz:], rate_hz, THEIRS_HZ) > 0.9


async def test_who_is_refused_exits_with_1(other: tuple[Endpoint, Account], tmp_path: Path) -> None:
    endpoint, ben = other
    tone = str(write_tone(tmp_path / "tone.wav", 1))
    phone = await softphone("call", f"sip:ben@{endpoint.address}", "--wav", tone)
    async for call in ben.calls():
        await call.hang_up(486)
        break
    _, told = await asyncio.wait_for(phone.communicate(), 20)
    assert phone.returncode == 1
    assert "486 Busy Here" in told.decode()


def without_sound(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which sounddevice finds no PortAudio."""
    folder = tmp_path / "without"
    folder.mkdir()
    (folder / "sounddevice.py").write_text('raise OSError("PortAudio library not found")\n')
    return {**os.environ, "PYTHONPATH": str(folder)}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("devices",), f"{NO_SOUND} (Debian: libportaudio2)"),
        (("call", "482913"), "`pip install 'tollbridge[phone]'`; --wav and --record work without"),
        (("call", "a b", "--wav", "x"), "phone call: 'a b': expected a SIP URI, or a number"),
        (("call", "482913", "--wav", "no.wav"), "--wav: 'no.wav': expected a WAV file"),
        (("call", "sip:a@b:99999", "--wav", "W"), "phone call: 'sip:a@b:99999': expected a port"),
        (("call", "482913", "--codecs", "X", "--wav", "W"), "codecs: 'X': expected one of G722"),
    ],
)
def test_what_is_missing_or_wrong_is_said(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    need_pjsip()
    tone = str(write_tone(tmp_path / "tone.wav", 0.1))
    command = [sys.executable, "-m", "bridge.cli", "phone"]
    command += [tone if one == "W" else one for one in arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, env=without_sound(tmp_path), timeout=30
    )
    assert done.returncode == 2
    assert told in done.stderr
