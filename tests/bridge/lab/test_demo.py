"""The demo's files say what its legs cost and who heard whom; nothing of it is taken on trust."""

import io
import json
import wave
from pathlib import Path

from rich.console import Console

from bridge.lab.audibility import analyse
from bridge.lab.demo import run
from bridge.lab.hearing import sound_pcm, window_of

NAMES = {"olivia", "ann", "ben", "chloe"}


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
        assert recording.getnframes() / recording.getframerate() > 2
    window = window_of(tmp_path / "recording.wav")
    tones = {"olivia": 440, "ann": 510, "ben": 580, "chloe": 650}
    hearing = analyse(window, tones, sound_pcm())
    assert all(not hearing.tones[name].absent for name in NAMES)
    assert hearing.sounds["hold-music"].matched_ms == 0
