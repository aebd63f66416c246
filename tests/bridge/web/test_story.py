"""A leg's story over the API while it lasts, after it, and from the store without a bridge."""

from pathlib import Path

import pytest

from bridge.errors import InputError
from bridge.legstory.explain import story_from_store
from tests.bridge.web.rig import OTHER, VIEWER, Rig, running, until


async def test_the_story_is_there_while_the_leg_lasts_and_after_it(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        ann = await rig.call("ann <b>")
        leg = rig.leg(ann)
        live = (await rig.ask("GET", f"/legs/{leg}/story", token=VIEWER)).json()
        said = [one["text"].split()[0] for one in live["sip"]]  # 100 only when the answer is late
        assert [one for one in said if one != "100"] == ["INVITE", "200", "ACK"]
        assert [one["kind"] for one in live["spans"]] == ["prompt", "waiting"]
        assert live["open"].startswith("not final")
        await ann.hang_up()
        await until(lambda: over(rig, leg))
        drawn = await rig.ask("GET", f"/legs/{leg}/story.html", token=VIEWER)
        assert drawn.headers["content-type"].startswith("text/html")
        assert "ann &lt;b&gt;" in drawn.text
        assert "<svg" in drawn.text
        assert " style=" not in drawn.text, "the page's policy lets no style in it count"
        for path in (f"/legs/{leg}/story", f"/legs/{leg}/story.html"):
            assert (await rig.ask("GET", path, token=OTHER)).status_code == 404
            assert (await rig.ask("GET", path, token="")).status_code == 401
        assert (await rig.ask("GET", "/legs/leg-none/story")).status_code == 404
        async with rig.client() as client:
            assert (await client.get(f"/legs/{leg}")).status_code == 200
            assert (await client.get("/drawing.css")).headers["content-type"].startswith("text/css")
        settings = rig.bridge.settings
    story = story_from_store(settings, leg)
    assert [one["text"].split()[0] for one in story["sip"]][-2:] == ["BYE", "200"]
    assert story["notes"][-1] == "It ended because the other side hung up."
    assert story["not_kept"] == []
    with pytest.raises(InputError, match="leg-none"):
        story_from_store(settings, "leg-none")


async def over(rig: Rig, leg: str) -> bool:
    story = (await rig.ask("GET", f"/legs/{leg}/story")).json()
    return bool(story["end"])
