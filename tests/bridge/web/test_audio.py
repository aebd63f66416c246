"""The live mix over the API, and `tollbridge listen`: what is said is heard, by who may."""

import asyncio
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from bridge.conference.api import LegState
from bridge.errors import InputError
from bridge.lab.audibility import measure_tones
from bridge.phone import listen
from bridge.phone.listen import ListenRefused
from bridge.units import FRAME_SAMPLES, SessionId
from tests.bridge.web.rig import ORGANIZER, OTHER, VIEWER, Rig, running, until

S1 = SessionId("s1")


async def started(rig: Rig) -> None:
    """Let an organizer and a caller meet; they say 400 and 460 Hz."""
    await rig.call("olivia", organizer=True)
    await rig.call("ann")
    assert (await rig.ask("POST", "/sessions/s1/start")).status_code == 200
    assert await rig.bridge.wait_for(
        lambda b: sum(v.state is LegState.JOINED for v in b.roster()) == 2, 10
    )


def has_a_second(file: Path) -> bool:
    """Return whether a second of a mix was written to a file."""
    return file.exists() and file.stat().st_size >= 16_000


async def test_the_mix_is_heard_live_by_several_and_ends_with_the_conference(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as rig:
        assert (await rig.ask("GET", "/sessions/s1/audio")).json()["code"] == "not_open"
        await started(rig)
        await asyncio.sleep(0.5)
        files = [tmp_path / "one.wav", tmp_path / "two.wav"]
        commands = [
            await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bridge.cli", "listen", "s1", "--url", rig.web.url,
                "--token", ORGANIZER, "--record", str(file), *more,
                stdout=asyncio.subprocess.PIPE,
            )
            for file, more in zip(files, [["--seconds", "1"], []], strict=True)
        ]  # fmt: skip
        assert await asyncio.wait_for(commands[0].wait(), 30) == 0
        assert commands[1].returncode is None  # who follows goes on when another has left
        await until(
            lambda: asyncio.to_thread(has_a_second, files[1])
        )  # however long its process took to begin
        assert (await rig.ask("POST", "/sessions/s1/end")).status_code == 200
        told, _ = await asyncio.wait_for(commands[1].communicate(), 30)
        assert commands[1].returncode == 0
        assert b" s, loudest -" in told
    for file in files:
        with wave.open(str(file)) as heard:
            pcm = np.frombuffer(heard.readframes(heard.getnframes()), "<i2").astype(np.float64)
        pcm = pcm[:8_000]
        present = np.ones(len(pcm) // FRAME_SAMPLES, np.bool_)
        tones = measure_tones(pcm, {"olivia": 400, "ann": 460, "nobody": 900}, present)
        assert tones["olivia"].median_dbfs > -20
        assert tones["ann"].median_dbfs > -20
        assert tones["nobody"].absent


async def test_listening_takes_an_organizer_of_the_account(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        for token, status in ((VIEWER, 403), (OTHER, 404), ("", 401), (ORGANIZER, 409)):
            answer = await rig.ask("GET", "/sessions/s1/audio", token=token)
            assert answer.status_code == status, token
        with pytest.raises(ListenRefused, match="not_open: nobody is in this session"):
            await asyncio.to_thread(next, listen.stream(rig.web.url, ORGANIZER, "s1"))
    with pytest.raises(InputError, match="a token of an organizer"):
        next(listen.stream("http://127.0.0.1:1", "", "s1"))
