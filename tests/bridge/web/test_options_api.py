"""R18 over the API: what a session says for itself, calls, files to play, levels and quality."""

import asyncio
import io
import json
import wave
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bridge.conference.api import LegState
from bridge.session_store import SessionStore
from bridge.units import LegId
from bridge.web.limits import AUDIO_BYTES_MAX
from tests.bridge.web.rig import ORGANIZER, SOON_S, VIEWER, callee, gateway, running, until

OPTIONS = {
    "security_code": "2580",
    "entry": "name",
    "participants_max": 12,
    "continue_minutes": 5,
}


def wav(seconds: float, *, rate: int = 16_000, channels: int = 2, width: int = 2) -> bytes:
    """Return a WAV file with a tone of 700 Hz."""
    t = np.arange(int(seconds * rate)) / rate
    one = (9_000 * np.sin(2 * np.pi * 700 * t)).astype("<i2")
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(np.repeat(one[:, None], channels, axis=1).tobytes()[: len(one) * 4])
    return made.getvalue()


async def test_options_are_kept_changed_cleared_and_hidden_from_viewers(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        made = await rig.ask("POST", "/sessions", {"account": "acme", **OPTIONS})
        assert made.status_code == 201, made.text
        session = made.json()
        path = f"/sessions/{session['id']}"
        assert {name: session[name] for name in OPTIONS} == OPTIONS
        assert session["secured"] is True
        seen = (await rig.ask("GET", path, token=VIEWER)).json()
        assert (seen["security_code"], seen["secured"]) == (None, True)
        changed = await rig.ask("PATCH", path, {"continue_minutes": 0, "security_code": None})
        assert changed.status_code == 200, changed.text
        assert (changed.json()["continue_minutes"], changed.json()["secured"]) == (0, False)
        spec = next(s for s in rig.bridge.sessions() if s.id == session["id"])
        assert (spec.continue_ms, spec.security_code, spec.participants_max) == (0, "", 12)
        cleared = dict.fromkeys(("entry", "participants_max", "continue_minutes"))
        empty = (await rig.ask("PATCH", path, cleared)).json()
        assert {name: empty[name] for name in cleared} == cleared
        for name, value in (
            ("security_code", "12"),
            ("security_code", "12a4"),
            ("entry", "fanfare"),
            ("participants_max", 0),
            ("continue_minutes", 61),
            ("continue_minutes", -1),
        ):
            wrong = await rig.ask("PATCH", path, {name: value})
            assert wrong.status_code == 422, (name, value)
            assert any(name in error["where"] for error in wrong.json()["errors"])
        await rig.ask("PATCH", path, OPTIONS)
        store = await asyncio.to_thread(
            SessionStore, rig.bridge.settings.store.outbox_url, "/tollbridge/local"
        )
        again = await asyncio.to_thread(store.record, session["id"])
        await asyncio.to_thread(store.close)
        assert again is not None
        assert again.spec == next(s for s in rig.bridge.sessions() if s.id == session["id"])


async def test_a_caller_keys_the_security_code_says_his_name_and_is_heard_of(
    tmp_path: Path,
) -> None:
    """The whole way over SIP and RTP: the tone that is his voice is what is recorded."""
    async with running(tmp_path, conference={"name_s": 2}) as rig:
        await rig.ask("PATCH", "/sessions/s1", {"security_code": "2580"})
        olga = await rig.call("olga", number="join", let_in=False)
        await olga.press("482913#2580#*0771144#")
        assert await rig.bridge.wait_for(
            lambda b: any(f.type == "organizer.joined" for f in b.facts), SOON_S
        )
        await rig.ask("POST", "/sessions/s1/start")
        await rig.ask("PATCH", "/sessions/s1", {"entry": "name"})
        ann = await rig.call("ann", number="join", let_in=False)
        await ann.press("482913#2580##")
        leg = LegId(rig.leg(ann))

        def inside(_: object) -> bool:
            views = [v for v in rig.bridge.roster() if v.leg == leg]
            return bool(views) and views[0].state is LegState.JOINED

        assert await rig.bridge.wait_for(inside, SOON_S)
        shown = (await rig.ask("GET", "/sessions/s1/roster")).json()["legs"]
        assert {one["name"]: one["name_recorded"] for one in shown} == {"olga": False, "ann": True}


async def test_calls_are_listed_with_what_became_of_them(tmp_path: Path) -> None:
    call_me = {"retries": 1, "retry_after_s": 0.2}
    async with callee() as phone, running(tmp_path, call_me={**gateway(phone), **call_me}) as rig:
        path = "/sessions/s1/call-me"
        assert (await rig.ask("GET", path, token=VIEWER)).json()["items"] == []
        order = {"number": "+12125550123", "name": "Ann"}
        leg = (await rig.ask("POST", path, order, token=ORGANIZER)).json()["leg"]

        async def state(name: str, attempt: int) -> bool:
            (one,) = (await rig.ask("GET", path)).json()["items"]
            return (one["leg"], one["state"], one["attempt"]) == (leg, name, attempt)

        await phone.rung()
        await until(lambda: state("ringing", 1))
        (view,) = (await rig.ask("GET", "/sessions/s1/roster")).json()["legs"]
        assert (view["call"], view["attempt"], view["via"]) == ("ringing", 1, "call_me")
        phone.refuse(486)
        await until(lambda: state("ringing", 2)) if await rang_again(phone) else None
        phone.refuse(603)
        await until(lambda: state("declined", 2))
        (one,) = (await rig.ask("GET", path)).json()["items"]
        assert (one["reason"], one["again"], one["name"]) == ("sip_603", False, "Ann")


async def rang_again(phone: Any) -> bool:
    """Wait for the second try and let it ring."""
    await phone.until(lambda: sum(type(n).__name__ == "CallIncoming" for n in phone.notices) == 2)
    await phone.rung()
    return True


async def test_a_file_is_played_to_all_or_to_one_and_what_is_none_is_refused(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as rig:
        path = "/api/v1/sessions/s1/announce-file"
        async with rig.client() as client:
            closed = await client.post(path, content=wav(0.5))
            assert (closed.status_code, closed.json()["code"]) == (409, "not_open")
            ann = await rig.call("ann")
            await rig.call("olga", organizer=True)
            await rig.ask("POST", "/sessions/s1/start")
            for query in ("", f"?leg={rig.leg(ann)}"):
                done = await client.post(path + query, content=wav(0.5))
                assert done.status_code == 200, done.text
            for body, why in (
                (b"", "WAV"),
                (b"RIFF0000WAVE", "WAV"),
                (wav(0.5)[:40], "WAV"),
                (wav(0.2, width=1), "8 bits"),
                (wav(0), "0.0 s"),
                (wav(121, rate=8_000, channels=1), "121.0 s"),
            ):
                wrong = await client.post(path, content=body)
                assert (wrong.status_code, wrong.json()["code"]) == (409, "bad_audio"), why
                assert why in wrong.json()["detail"]
            large = await client.post(path, content=b"x" * (AUDIO_BYTES_MAX + 1))
            assert large.status_code == 413
            nobody = await client.post(f"{path}?leg=nobody", content=wav(0.5))
            assert (nobody.status_code, nobody.json()["code"]) == (404, "unknown_leg")


async def test_levels_come_with_the_events_and_quality_with_the_roster(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        ann = await rig.call("ann")
        await rig.call("olga", organizer=True)
        await rig.ask("POST", "/sessions/s1/start")
        leg = rig.leg(ann)
        async with (
            rig.client() as client,
            client.stream("GET", "/api/v1/events?levels=true") as answer,
        ):
            async with asyncio.timeout(SOON_S):
                async for line in answer.aiter_lines():
                    if not line.startswith("data: "):
                        continue
                    event = json.loads(line.removeprefix("data: "))
                    if event["type"] == "levels" and leg in event["dbfs"]:
                        break
        assert -40 < event["dbfs"][leg] < 0

        async def measured() -> bool:
            legs = (await rig.ask("GET", "/now")).json()["legs"]
            (one,) = [one for one in legs if one["leg"] == leg]
            return bool(one["quality"] and one["talking"] and one["level_db"] is not None)

        await until(measured)
        legs = (await rig.ask("GET", "/now")).json()["legs"]
        quality = next(one["quality"] for one in legs if one["leg"] == leg)
        told: list[str] = []
        rig.bridge.subscribe(lambda item: told.append(item.type))
        for on, name in ((True, "participant.held"), (False, "participant.resumed")):
            await ann.hold(on=on)
            await until(partial(heard, told, name))
            legs = (await rig.ask("GET", "/now")).json()["legs"]
            assert next(one["held"] for one in legs if one["leg"] == leg) is on
        assert 0 <= quality["loss"] < 0.2
        assert 0 <= quality["jitter_ms"] < 200


async def heard(told: list[str], name: str) -> bool:
    return name in told


async def test_tick_times_are_a_histogram_that_adds_up(tmp_path: Path) -> None:
    async with running(tmp_path) as rig, rig.client("") as client:
        assert await rig.bridge.wait_for(lambda b: b.status.worker.ticks > 0, SOON_S)
        text = (await client.get("/metrics")).text
    rows = {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith("tollbridge_tick_seconds")
    }
    buckets = [value for name, value in rows.items() if "_bucket" in name]
    assert buckets == sorted(buckets)
    assert buckets[-1] == rows["tollbridge_tick_seconds_count"] > 0
    assert 0 < rows["tollbridge_tick_seconds_sum"] < 60
    assert 'tollbridge_tick_seconds_bucket{le="0.02"}' in rows
