"""R12: recordings over the API: who may have them, whole or in part, and what becomes of them."""

import asyncio
import io
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.lab.network import Impairment
from bridge.lab.words import SILENT
from bridge.units import SessionId
from tests.bridge.web.rig import ORGANIZER, OTHER, VIEWER, Rig, running, until

soundfile = pytest.importorskip("soundfile", reason="the extra `recording` is not installed")

LIST = "/sessions/s1/recordings"


async def conference(rig: Rig, seconds: float) -> float:
    """Have ann and olga talk for a time while they are recorded; return when that was ordered."""
    await rig.call("ann")
    await rig.call("olga", organizer=True)
    await rig.ask("POST", "/sessions/s1/start")
    ordered = time.monotonic()
    on = await rig.ask("POST", "/sessions/s1/recording", {"on": True})
    assert on.status_code == 200, on.text
    await asyncio.sleep(seconds)
    return ordered


async def all_encoded(rig: Rig) -> bool:
    items = (await rig.ask("GET", LIST)).json()["items"]
    return bool(items) and all(one["format"] == "flac" for one in items)


async def test_mix_and_tracks_are_listed_sent_in_part_and_deleted_by_an_admin_only(
    tmp_path: Path,
) -> None:
    kept = {"directory": str(tmp_path / "kept"), "format": "flac", "tracks": True, "keep_days": 30}
    async with running(tmp_path, recording=kept) as rig:
        await conference(rig, 2.0)
        (running_one,) = [
            one for one in (await rig.ask("GET", LIST)).json()["items"] if one["leg"] is None
        ]
        assert running_one["recording"] is True
        held = await rig.ask("DELETE", f"{LIST}/{running_one['name']}")
        assert (held.status_code, held.json()["code"]) == (409, "recording_runs")
        await rig.ask("POST", "/sessions/s1/recording", {"on": False})
        await until(lambda: all_encoded(rig))
        listed = (await rig.ask("GET", LIST, token=ORGANIZER)).json()
        assert listed["keep_days"] == 30
        legs = {rig.leg(caller) for caller in rig.callers}
        assert {one["leg"] for one in listed["items"]} == {None, *legs}
        lengths = {one["seconds"] for one in listed["items"]}
        assert max(lengths) - min(lengths) <= 0.02, "tracks are as long as the mix"
        assert min(lengths) > 1.5

        mix = next(one for one in listed["items"] if one["leg"] is None)
        whole = await rig.ask("GET", f"{LIST}/{mix['name']}", token=ORGANIZER)
        assert (whole.status_code, whole.headers["content-type"]) == (200, "audio/flac")
        assert len(whole.content) == mix["bytes"]
        samples, rate = soundfile.read(io.BytesIO(whole.content))
        assert len(samples) / rate == pytest.approx(mix["seconds"], abs=0.001)
        assert np.abs(samples).max() > 0.05
        part = await rig.ask("GET", f"{LIST}/{mix['name']}", Range="bytes=4-11")
        assert (part.status_code, part.content) == (206, whole.content[4:12])
        assert part.headers["content-range"] == f"bytes 4-11/{mix['bytes']}"

        for token, method, status in (
            (VIEWER, "GET", 403),
            (OTHER, "GET", 404),
            (ORGANIZER, "DELETE", 403),
            ("", "GET", 401),
        ):
            answer = await rig.ask(method, f"{LIST}/{mix['name']}", token=token)
            assert answer.status_code == status, (token, method)
        assert (await rig.ask("GET", LIST, token=VIEWER)).status_code == 403
        gone = await rig.ask("DELETE", f"{LIST}/{mix['name']}")
        assert gone.status_code == 204
        again = await rig.ask("DELETE", f"{LIST}/{mix['name']}")
        assert (again.status_code, again.json()["code"]) == (404, "unknown_recording")
        assert not list((tmp_path / "kept").rglob(mix["name"]))


async def test_no_name_leads_out_of_the_sessions_own_folder(tmp_path: Path) -> None:
    (tmp_path / "kept" / "s2").mkdir(parents=True)
    (tmp_path / "kept" / "s2" / "s2.o1-1.wav").write_bytes(b"RIFF" + bytes(100))
    (tmp_path / "secret-1.wav").write_bytes(b"RIFF" + bytes(100))
    async with running(tmp_path, recording={"directory": str(tmp_path / "kept")}) as rig:
        for name in ("s2.o1-1.wav", "..%2Fs2%2Fs2.o1-1.wav", "..%2F..%2Fsecret-1.wav", "x"):
            answer = await rig.ask("GET", f"{LIST}/{name}")
            assert answer.status_code in (404, 422), name
        assert (await rig.ask("GET", LIST)).json()["items"] == []
        assert (await rig.ask("GET", "/sessions/s2/recordings")).status_code == 404


def amplitude(samples: NDArray[np.float64], hertz: int) -> float:
    """Return the amplitude of a tone in samples of 8 kHz."""
    wave = np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / 8_000)
    return float(2 * np.abs(samples @ wave) / len(samples))


@pytest.mark.long
async def test_thirty_seconds_for_real_with_loss_are_thirty_seconds(tmp_path: Path) -> None:
    """One leg loses 5 %; its tone is in the mix while it speaks, and in no other's track."""
    kept = {"directory": str(tmp_path / "kept"), "tracks": True}
    async with running(tmp_path, recording=kept) as rig:
        on = await conference(rig, 0.0)
        begun = time.monotonic()
        ann = rig.callers[0]
        assert ann._port is not None
        await ann.engine.impair(ann._port, Impairment(loss=0.05), "30 s")
        await ann.speak(SILENT)
        await asyncio.sleep(10)
        await ann.speak(ann.voice)
        await asyncio.sleep(10)
        await ann.speak(SILENT)
        await asyncio.sleep(10)
        lasted = time.monotonic() - begun
        await rig.ask("POST", "/sessions/s1/recording", {"on": False})
        at_most = time.monotonic() - on
        await until(lambda: closed(rig))
        items = (await rig.ask("GET", LIST)).json()["items"]
        assert len(items) == 3
        for one in items:
            assert lasted - 0.02 <= one["seconds"] <= at_most + 0.02, one
        assert max(i["seconds"] for i in items) - min(i["seconds"] for i in items) <= 0.02
        assert ann.voice.tone_hz is not None
        for one in items:
            file = tmp_path / "kept" / "s1" / one["name"]
            samples, _ = soundfile.read(str(file))
            spoke = [
                amplitude(samples[at * 8_000 : (at + 7) * 8_000], ann.voice.tone_hz) > 0.02
                for at in (2, 12, 22)
            ]
            whose = one["leg"] in (None, rig.leg(ann))
            assert spoke == [False, whose, False], one["name"]


async def closed(rig: Rig) -> bool:
    open_ = [view.recording for view in rig.bridge.occurrences() if view.session == SessionId("s1")]
    await asyncio.sleep(0.5)
    return not any(open_)
