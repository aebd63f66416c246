"""A leg's story: built of both halves or one, the same as text and as HTML, and escaped."""

import io
import json
from datetime import datetime
from typing import Any

from rich.console import Console

from bridge.legstory.build import leg_story
from bridge.legstory.page import whole_page
from bridge.legstory.text import show, working_of
from bridge.units import conf_ms_of

LEG = "leg-1"
NINE = "2026-02-10T14:00:00.000Z"


def fact(number: int, what: str, time: str, **data: Any) -> dict[str, Any]:
    return {"id": f"{LEG}/{number}", "type": what, "time": time, "data": {"leg": LEG, **data}}


FACTS = [
    fact(1, "leg.answered", NINE, kind="toll_free", country="US", did="+1800", ani="<script>&"),
    fact(2, "leg.identified", NINE, session="s1", account="acme", occurrence="s1.x"),
    fact(3, "leg.waiting", NINE),
    fact(4, "leg.left", "2026-02-10T14:05:00.000Z", reason="waiting_timeout", duration_ms=300_000),
]
PART = {
    "part": 1,
    "month": "2026-02",
    "currency": "USD",
    "duration_ms": 300_000,
    "billable_seconds": 300,
    "billed_seconds": 300,
    "increment": "60/60",
    "reason": "billable",
    "working": "300 s x 0.06/min = 0.30",
    "invoice": "draft of 2026-02",
}
EXPLANATION = {"facts": FACTS, "parts": [PART], "open": ""}
CONF = conf_ms_of(datetime.fromisoformat(NINE))


def diary(**changed: Any) -> dict[str, Any]:
    invite = [0.0, CONF, False, "192.0.2.9:5060", "INVITE sip:<b>@x", "1 INVITE", "RTP to h:1", ""]
    answer = [20.0, CONF, True, "192.0.2.9:5060", "200 OK", "1 INVITE", "RTP to h:2", ""]
    bye = [9_000.0, CONF + 300_000, True, "192.0.2.9:5060", "BYE sip:a", "1 BYE", "", "timeout"]
    base: dict[str, Any] = {
        "about": {"name": "<img src=x>", "from": "192.0.2.9:5060"},
        "clock": {
            "running": False,
            "moves": [[0.0, CONF], [8_000.0, CONF + 300_000]],
            "end": [9_000.0, CONF + 300_000],
        },
        "over": "local_bye",
        "sip": [invite, answer, bye],
        "sip_left_out": 0,
        "media": [[20.0, CONF, "PCMU", "h:1", True, True, True]],
        "marks": [[30.0, CONF, "plays", "greeting"]],
        "facts": {f"{LEG}/1": 20.0, f"{LEG}/3": 1_000.0, f"{LEG}/4": 8_001.0},
        "quality": [[5_000.0, CONF, 3.0, 0.1, 2.5, -1.0, 0.0, 2.0]],
        "rtp_last": 8_990.0,
        "talk": [[2_000.0, CONF, 4_000.0, CONF]],
        "heard": [["leg-2", "ben", [[2_000.0, CONF, 3_000.0, CONF]]]],
    }
    return {**base, **changed}


def test_the_story_says_where_the_leg_was_and_what_it_costs() -> None:
    story = leg_story(LEG, diary(), EXPLANATION)
    assert [(one["kind"], one["from"]["since_ms"]) for one in story["spans"]] == [
        ("prompt", 0),
        ("waiting", 0),
    ]
    assert story["spans"][1]["to"]["since_ms"] == 300_000
    assert working_of(story) == [
        "300000 ms, 300 whole seconds, 300 s by 60/60: charged from answer to end, waiting time "
        "included (R2, D5, D7)",
        "  300 s x 0.06/min = 0.30 USD (draft of 2026-02)",
    ]
    assert story["about"]["left"] == "waiting_timeout"
    assert story["heard"][0]["spans"][0]["lasts_ms"] == 1_000
    assert story["not_kept"] == []
    json.dumps(story)


def test_a_host_who_waits_hosts_and_an_organizer_who_is_in_stays_in() -> None:
    for before, kinds in (
        ("leg.waiting", ["prompt", "waiting", "hosting"]),
        ("leg.joined", ["prompt", "joined"]),
    ):
        facts = [FACTS[0], fact(3, before, NINE), fact(9, "organizer.joined", NINE), FACTS[3]]
        story = leg_story(LEG, None, {**EXPLANATION, "facts": facts})
        assert [one["kind"] for one in story["spans"]] == kinds


def test_notes_say_in_plain_words_why_nobody_heard_the_leg_and_how_it_ended() -> None:
    def notes(**changed: Any) -> str:
        return " ".join(leg_story(LEG, diary(**changed), EXPLANATION)["notes"])

    assert "No RTP came from this leg after the answer" in notes(rtp_last=None)
    assert "No RTP came" in notes(rtp_last=19.0)
    assert "No RTP came" not in notes()
    held = [
        [20.0, CONF, "PCMU", "h:1", True, True, True],
        [30.0, CONF, "PCMU", "h:1", True, False, True],
    ]
    assert leg_story(LEG, diary(media=held), EXPLANATION)["holds"][0]["lasts_ms"] == 8_970
    offered = [[0.0, CONF, "PCMU", "h:1", True, True, False]] * 2
    assert "is not where its SIP came from" in notes(media=offered)
    assert "3 packets were lost and 2 came too late" in notes()
    assert "reported up to 40%" in notes(quality=[[1.0, CONF, 0.0, 0.0, 0.0, 1.0, 0.4, 0.0]])
    assert "because the bridge hung up: waiting timeout." in notes()
    refused = [1.0, CONF, True, "p", "404 Not Found", "1 INVITE", "", ""]
    assert "refused: 404 Not Found" in notes(over="rejected 404", sip=[refused])


def test_a_half_that_is_missing_is_said() -> None:
    assert "[diary] legs_max" in leg_story(LEG, None, EXPLANATION)["not_kept"][0]
    running = leg_story(LEG, None, {**EXPLANATION, "facts": FACTS[:3], "open": "not final"})
    assert f"/legs/{LEG}" in running["not_kept"][0]
    assert working_of(running)[0] == "not final"
    assert "billing has none" in leg_story(LEG, diary(), None)["not_kept"][0]
    assert "7 SIP messages" in leg_story(LEG, diary(sip_left_out=7), EXPLANATION)["not_kept"][0]


def test_text_and_page_say_the_same_and_every_name_is_escaped() -> None:
    story = leg_story(LEG, diary(), EXPLANATION)
    out = io.StringIO()
    show(story, Console(file=out, width=120))
    text, html = out.getvalue(), whole_page(story)
    for said in ("INVITE sip:", "waiting_timeout", "300 s x 0.06/min = 0.30", "hears ben"):
        assert said in text, said
        assert said in html, said
    assert "<img src=x>" in text
    for forbidden in ("<img src=x>", "<script>", "sip:<b>", "http://", "https://", "url("):
        assert forbidden not in html.replace("http://www.w3.org", ""), forbidden


def test_a_story_of_facts_alone_is_shown_too() -> None:
    story = leg_story(LEG, None, EXPLANATION)
    out = io.StringIO()
    show(story, Console(file=out, width=100))
    assert "nothing is kept" in out.getvalue()
    assert "Nothing is kept." in whole_page(story)


def test_what_nobody_gave_is_left_out() -> None:
    about = {"number": "ann", "name": "", "from": "192.0.2.9:5060"}
    out = io.StringIO()
    show(leg_story(LEG, diary(about=about), EXPLANATION), Console(file=out, width=120))
    assert ", name" not in out.getvalue()
    assert ", from 192.0.2.9:5060" in out.getvalue()
