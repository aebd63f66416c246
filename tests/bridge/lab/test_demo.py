"""The demo's files say what its legs cost and who heard whom; nothing of it is taken on trust."""

import io
import json
import wave
from pathlib import Path

from rich.console import Console

from bridge.lab.audibility import Window, analyse
from bridge.lab.clips import sound_pcm
from bridge.lab.demo import run
from bridge.lab.hearing import window_of
from bridge.units import FRAME_SAMPLES

TONES = {"olivia": 440, "ann": 550, "ben": 660, "chloe": 880}
NAMES = set(TONES)


def alone(window: Window, at: int) -> set[str]:
    """Return who is heard in one second of the recording."""
    second = Window(window.pcm[at : at + 8_000], window.present[: 8_000 // FRAME_SAMPLES])
    return set(analyse(second, TONES).heard())


async def test_demo_writes_what_issue_2_names(tmp_path: Path) -> None:
    screen = io.StringIO()
    await run(tmp_path, Console(file=screen, width=120))
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert set(summary) == {"legs", "billed_minutes", "total", "currency", "recording"}
    legs = {leg["name"]: leg for leg in summary["legs"]}
    assert {name: (leg["via"], leg["country"]) for name, leg in legs.items()} == {
        "olivia": ("voip", ""),
        "ann": ("toll_free", "US"),
        "ben": ("toll_free", "US"),
        "chloe": ("toll", "FR"),
    }
    assert all(set(leg["heard"]) == NAMES - {name} for name, leg in legs.items())
    assert all(leg["talked_ms"] == 600_000 for leg in legs.values())
    assert [legs[name]["waited_ms"] for name in ("ann", "ben", "chloe")] == [900] * 3
    assert summary["billed_minutes"] == {"toll_free": 20}
    assert (summary["total"], summary["currency"]) == ("1.20", "USD")
    invoice = json.loads((tmp_path / "invoice.json").read_text())
    assert invoice["total"] == "1.20"
    assert (tmp_path / "invoice.txt").read_text() in screen.getvalue()
    with wave.open(str(tmp_path / summary["recording"])) as recording:
        assert recording.getnframes() / recording.getframerate() > 10
    window = window_of(tmp_path / "recording.wav")
    for name in NAMES:  # each is heard alone for a while
        at = next(i for i in range(0, len(window.pcm) - 8_000, 800) if alone(window, i) == {name})
        assert alone(window, at + 4_000) == {name}
    hearing = analyse(window, TONES, sound_pcm())
    assert all(not hearing.tones[name].absent for name in NAMES)
    assert hearing.sounds["hold-music"].matched_ms == 0
