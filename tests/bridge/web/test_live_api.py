"""Orders over the API with real calls up: each changes one leg or conference, and the bill."""

import asyncio
import re
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest

from bridge.conference.api import Fact, LegState, Notice
from bridge.prompts import read_wav
from bridge.web.metrics import FAMILIES
from bridge.web.speech import resample, speak, to_telephone
from tests.bridge.web.rig import (
    CODE,
    OTHER,
    PIN,
    SOON_S,
    VIEWER,
    Rig,
    callee,
    gateway,
    running,
    until,
)


def state_of(rig: Rig, leg: str) -> LegState:
    return next((v.state for v in rig.bridge.roster() if v.leg == leg), LegState.ENDED)


async def test_the_roster_says_who_waits_hosts_and_is_in_and_how_each_joined(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as rig:
        ann = await rig.call("ann")
        olga = await rig.call("olga", organizer=True)
        dora = await rig.call("dora", number=CODE)
        await until(lambda: everybody(rig, "waiting"))
        roster = (await rig.ask("GET", "/sessions/s1/roster", token=VIEWER)).json()
        assert roster["occurrence"]["started_at"] is None
        seen = {leg["leg"]: leg for leg in roster["legs"]}
        assert seen[rig.leg(ann)]["via"] == "toll_free"
        assert seen[rig.leg(ann)]["country"] == "US"
        assert seen[rig.leg(ann)]["number"] == ann.number
        assert seen[rig.leg(dora)]["via"] == "voip"
        assert [leg["leg"] for leg in roster["legs"] if leg["hosting"]] == [rig.leg(olga)]
        assert (await rig.ask("GET", "/now", token=OTHER)).json()["legs"] == []

        two = await asyncio.gather(*(rig.ask("POST", "/sessions/s1/start") for _ in range(2)))
        assert sorted(answer.status_code for answer in two) == [200, 409]
        refused = next(answer for answer in two if answer.status_code == 409)
        assert refused.json()["code"] == "already_started"
        assert sum(fact.type == "session.started" for fact in rig.bridge.facts) == 1
        await until(lambda: everybody(rig, "joined"))
        roster = (await rig.ask("GET", "/sessions/s1/roster")).json()
        assert roster["occurrence"]["started_at"] is not None
        assert (await rig.ask("GET", "/sessions/s1")).json()["state"] == "started"


async def everybody(rig: Rig, state: str) -> bool:
    legs = (await rig.ask("GET", "/now")).json()["legs"]
    return bool(legs) and all(leg["state"] == state for leg in legs)


async def test_each_control_changes_one_state_and_its_opposite_takes_it_back(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as rig:
        ann, _ = await rig.call("ann"), await rig.call("olga", organizer=True)
        leg = rig.leg(ann)
        assert (await rig.ask("POST", "/sessions/s1/start")).status_code == 200

        async def shown(name: str) -> object:
            legs = (await rig.ask("GET", "/now")).json()["legs"]
            return next(one for one in legs if one["leg"] == leg)[name]

        for path, body, name, value in (
            (f"/legs/{leg}/mute", {"muted": True}, "muted", True),
            (f"/legs/{leg}/mute", {"muted": False}, "muted", False),
            (f"/legs/{leg}/hand", {"raised": True}, "hand_raised", True),
            (f"/legs/{leg}/hand", {"raised": False}, "hand_raised", False),
            (f"/legs/{leg}/volume", {"gain_db": -6}, "gain_db", -6),
            ("/sessions/s1/mute-all", {"muted": True}, "muted", True),
            ("/sessions/s1/mute-all", {"muted": False}, "muted", False),
            ("/sessions/s1/lecture", {"on": True}, "muted", True),
            (f"/legs/{leg}/mute", {"muted": False}, "has_floor", True),
            ("/sessions/s1/lecture", {"on": False}, "has_floor", False),
        ):
            answer = await rig.ask("POST", path, body)
            assert answer.status_code == 200, answer.text
            assert await shown(name) == value, (path, body)
        await rig.ask("POST", "/sessions/s1/lock", {"locked": True})
        assert (await rig.ask("GET", "/now")).json()["occurrences"][0]["locked"] is True
        played = await rig.ask("POST", "/sessions/s1/announce", {"prompt": "people", "leg": leg})
        assert played.status_code == 200, played.text
        unknown = await rig.ask("POST", "/sessions/s1/announce", {"prompt": "no-such-prompt"})
        assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_prompt")


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="no espeak-ng here")
async def test_a_text_is_spoken_to_everybody_and_to_one_leg(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        path, text = "/sessions/s1/announce", "Five minutes left; -w is no option."
        both = await rig.ask("POST", path, {"text": text, "prompt": "people"})
        assert (both.status_code, both.json()["code"]) == (409, "prompt_or_text")
        empty = await rig.ask("POST", path, {"text": text})
        assert (empty.status_code, empty.json()["code"]) == (409, "not_open")
        ann = await rig.call("ann")
        await rig.call("olga", organizer=True)
        await rig.ask("POST", "/sessions/s1/start")
        told: list[Fact | Notice] = []
        rig.bridge.subscribe(told.append)
        for more in ({}, {"leg": rig.leg(ann)}, {"language": "de"}):
            answer = await rig.ask("POST", path, {"text": text, **more})
            assert answer.status_code == 200, answer.text
        clips = [one.data["prompt"] for one in told if one.type == "announcement.played"]
        assert clips[0] == clips[1], "the same text is spoken once"
        assert clips[2] != clips[0]
        await rig.bridge.wait_for(lambda b: b.status.worker.ticks > 0, SOON_S)
        assert rig.bridge.status.worker.counters.get("unknown_clip", 0) == 0


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="no espeak-ng here")
async def test_speech_is_loud_enough_and_has_nothing_above_4_khz(tmp_path: Path) -> None:
    await speak("Good morning, everybody.", "en", tmp_path / "spoken.wav")
    to_telephone(tmp_path / "spoken.wav", tmp_path / "ready.wav")
    samples = read_wav(tmp_path / "ready.wav")
    assert 0.8 * 8_000 < len(samples) < 5 * 8_000
    assert np.sqrt(np.mean(np.square(samples.astype(np.float64)))) > 500
    tone = np.sin(2 * np.pi * 5_000 * np.arange(22_050) / 22_050) * 10_000
    assert np.abs(resample(tone, 22_050)).max() < 100, "5 kHz is cut off, not folded to 3 kHz"
    kept = resample(np.sin(2 * np.pi * 1_000 * np.arange(22_050) / 22_050) * 10_000, 22_050)
    assert 9_900 < np.abs(kept).max() < 10_100


async def test_a_leg_is_moved_to_another_session_of_its_account_only(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        ann, _ = await rig.call("ann"), await rig.call("olga", organizer=True)
        await rig.ask("POST", "/sessions/s1/start")
        other = (await rig.ask("POST", "/sessions", {"toll_free": ["US"]})).json()["id"]
        foreign = (await rig.ask("POST", "/sessions", {}, token=OTHER)).json()["id"]
        path = f"/legs/{rig.leg(ann)}/move"
        assert (await rig.ask("POST", path, {"session": foreign})).status_code == 404
        moved = await rig.ask("POST", path, {"session": other})
        assert moved.status_code == 200, moved.text
        roster = (await rig.ask("GET", f"/sessions/{other}/roster")).json()
        assert [leg["leg"] for leg in roster["legs"]] == [rig.leg(ann)]


async def test_a_kick_ends_the_call_and_a_kick_of_who_is_gone_is_404(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        ann, _ = await rig.call("ann"), await rig.call("olga", organizer=True)
        leg = rig.leg(ann)
        answers = await asyncio.gather(*(rig.ask("POST", f"/legs/{leg}/kick") for _ in range(3)))
        assert 200 in {answer.status_code for answer in answers}
        assert {answer.status_code for answer in answers} <= {200, 404}
        assert await ann.over(SOON_S)
        assert state_of(rig, leg) is LegState.ENDED
        gone = await rig.ask("POST", f"/legs/{leg}/kick")
        assert (gone.status_code, gone.json()["code"]) == (404, "unknown_leg")
        assert sum(f.type == "leg.left" and f.subject == leg for f in rig.bridge.facts) == 1


async def test_cancel_during_start_leaves_no_leg_and_one_outcome(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        callers = [await rig.call("ann"), await rig.call("olga", organizer=True)]
        start, cancel = await asyncio.gather(
            rig.ask("POST", "/sessions/s1/start"), rig.ask("POST", "/sessions/s1/cancel")
        )
        assert cancel.status_code == 200
        assert start.status_code in (200, 404, 409)
        for caller in callers:
            assert await caller.over(SOON_S)
        await until(lambda: nobody(rig))
        kinds = [fact.type for fact in rig.bridge.facts]
        assert kinds.count("session.cancelled") == 1
        assert kinds.count("leg.left") == 2
        assert (await rig.ask("GET", "/sessions/s1")).json()["state"] == "cancelled"


async def nobody(rig: Rig) -> bool:
    return len((await rig.ask("GET", "/now")).json()["legs"]) == 0


async def test_charges_are_an_estimate_while_a_leg_runs_and_settled_afterwards(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as rig:
        ann = await rig.call("ann")
        waiting = (await rig.ask("GET", "/sessions/s1/charges")).json()
        assert [leg["reason"] for leg in waiting["legs"]] == ["never_started"]
        assert (waiting["estimate"], waiting["settled"]) == ("0.00", "0.00")

        await rig.call("olga", organizer=True)
        running_ = (await rig.ask("GET", "/sessions/s1/charges")).json()
        assert (running_["estimate"], running_["running_legs"]) == ("0.12", 2)
        assert {leg["reason"] for leg in running_["legs"]} == {"billable"}, "R7"

        await ann.hang_up()
        await until(lambda: gone(rig, ann.number))
        ended = (await rig.ask("GET", "/sessions/s1/charges")).json()
        assert (ended["estimate"], ended["running_legs"]) == ("0.12", 1), "not final yet (D4)"

        assert (await rig.ask("POST", "/sessions/s1/end")).status_code == 200
        await until(lambda: nobody(rig))
        await until(lambda: settled(rig, "0.12"))
        month = (await rig.ask("GET", "/sessions/s1/charges")).json()
        assert (month["estimate"], month["settled_legs"], month["legs"]) == ("0.00", 2, [])
        invoices = await rig.ask("GET", f"/accounts/acme/invoices?month={month['month']}")
        assert [invoice["total"] for invoice in invoices.json()] == ["0.12"]


async def gone(rig: Rig, number: str) -> bool:
    legs = (await rig.ask("GET", "/now")).json()["legs"]
    return number not in {leg["number"] for leg in legs}


async def settled(rig: Rig, amount: str) -> bool:
    charges = await rig.ask("GET", "/sessions/s1/charges")
    return bool(charges.json()["settled"] == amount)


async def test_a_recording_is_switched_on_and_off_and_leaves_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    async with running(tmp_path, recording={"directory": str(folder)}) as rig:
        await rig.call("olga", organizer=True)
        await rig.ask("POST", "/sessions/s1/start")
        on = await rig.ask("POST", "/sessions/s1/recording", {"on": True})
        assert on.status_code == 200, on.text
        assert (await rig.ask("GET", "/now")).json()["occurrences"][0]["recording"] is True
        off = await rig.ask("POST", "/sessions/s1/recording", {"on": False})
        assert off.status_code == 200
        assert (await rig.ask("GET", "/now")).json()["occurrences"][0]["recording"] is False
        await until(lambda: a_file(folder))


async def a_file(folder: Path) -> bool:
    return bool(await asyncio.to_thread(lambda: list(folder.glob("s1/*.wav"))))


async def test_call_me_dials_the_number_and_lets_in_who_presses_1(tmp_path: Path) -> None:
    async with callee() as phone, running(tmp_path, call_me=gateway(phone)) as rig:
        path = "/sessions/s1/call-me"
        premium = await rig.ask("POST", path, {"number": "+19005550123", "name": "x"})
        assert premium.status_code == 409, "premium-rate (D11)"
        abroad = await rig.ask("POST", path, {"number": "+33123456789"})
        assert abroad.status_code == 409, "not in the allow-list"
        done = await rig.ask("POST", path, {"number": "+12125550123", "name": "Ann"})
        assert done.status_code == 202, done.text
        leg = done.json()["leg"]
        await phone.rung()
        seen = (await rig.ask("GET", "/sessions/s1/roster")).json()["legs"]
        assert [(one["leg"], one["via"], one["name"], one["state"]) for one in seen] == [
            (leg, "call_me", "Ann", "dialled")
        ]
        await phone.answer()
        assert await rig.bridge.wait_for(lambda _: state_of(rig, leg) is LegState.ASKED, SOON_S)
        await phone.press("1")
        assert await rig.bridge.wait_for(lambda _: state_of(rig, leg) is LegState.WAITING, SOON_S)
        await phone.hang_up()
        await until(lambda: nobody(rig))


async def test_answers_are_not_held_back_by_the_sockets(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        # asyncio sets TCP_NODELAY on connections whose listening socket was named TCP.
        assert rig.web._socket.proto == socket.IPPROTO_TCP


async def test_metrics_count_legs_ticks_packets_sip_and_the_outbox(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.call("ann")
        await rig.bridge.wait_for(lambda b: b.status.worker.counters.get("rx", 0) > 0, SOON_S)
        async with rig.client("") as client:
            answer = await client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        lines = answer.text.splitlines()
        assert 'tollbridge_legs{kind="toll_free",state="waiting"} 1' in lines
        assert 'tollbridge_sip_messages_total{direction="in",method="INVITE"} 1' in lines
        assert 'tollbridge_sip_messages_total{direction="out",code="200"} 1' in lines
        assert 'tollbridge_facts_total{type="leg.waiting"} 1' in lines
        names = {line.split("{")[0].split(" ")[0] for line in lines if not line.startswith("#")}
        assert names >= {
            "tollbridge_tick_milliseconds",
            "tollbridge_late_ticks_total",
            "tollbridge_packets_total",
            "tollbridge_outbox_depth",
        }
        told = [line.split(" ")[2:] for line in lines if line.startswith("# TYPE")]
        known = [[f"tollbridge_{name}", one.kind] for name, one in FAMILIES.items()]
        assert sorted(told) == sorted(known)
        for line in (line for line in lines if not line.startswith("#")):
            name = re.sub("_(bucket|sum|count)$", "", line.split("{")[0].split(" ")[0])
            labels = set(re.findall(r'(\w+)="', line)) - {"le"}
            assert labels <= set(FAMILIES[name.removeprefix("tollbridge_")].labels), line
        assert PIN not in answer.text
        assert "+1212" not in answer.text, "no person in a metric"
