"""Who calls, as it goes into facts: whatever a caller writes, billing takes it."""

import json

import pytest

from billing.events import ANSWERED, parse_fact
from bridge.conference.api import ConferenceConfig, Instant, LegKind, LegReady
from bridge.conference.core import Conference
from bridge.config import parse_settings
from bridge.incoming import CALLER_CHARS_MAX, invited
from bridge.metering import cloud_event
from bridge.sip.api import Address, CallIncoming
from bridge.units import LegId, NowNs
from tests.bridge.conference.driver import CONF0, PLAN

SETTINGS = parse_settings({"trunk": [{"id": "carrier", "cidr": ["192.0.2.0/24"]}]})
LEG = LegId("leg-1")


def incoming(caller: str) -> CallIncoming:
    did = PLAN.did("US", LegKind.TOLL_FREE)
    assert did is not None
    return CallIncoming(
        leg=LEG,
        user=did.e164,
        host="example.test",
        source=Address("192.0.2.7", 5_060),
        from_user=caller,
        from_display=caller,
        asserted=None,
        diversion=None,
        anonymous=False,
        late_offer=False,
        remote=None,
        call_id="c1",
    )


@pytest.mark.parametrize(
    ("caller", "kept"),
    [
        ("+12125550100", "+12125550100"),
        ("J\u00fcrgen M\u00fcller", "J\u00fcrgen M\u00fcller"),
        ("1\x002", "12"),
        ("\x00", ""),
        ("a\r\n[error] b\x1b[2J", "a [error] b[2J"),
        ("9" * 2_000, "9" * CALLER_CHARS_MAX),
        ("\u2603" * 2_000, "\u2603" * CALLER_CHARS_MAX),
    ],
)
def test_the_fact_of_an_answer_is_billed_whatever_the_caller_calls_himself(
    caller: str, kept: str
) -> None:
    conference = Conference(ConferenceConfig(), PLAN, lambda: "o1")
    conference.step(invited(SETTINGS, incoming(caller)), Instant(NowNs(0), CONF0))
    (fact,) = conference.step(LegReady(LEG), Instant(NowNs(1), CONF0)).facts
    read = parse_fact(json.dumps(cloud_event(fact, "/tollbridge/a")))
    assert (read.type, read.data["ani"]) == (ANSWERED, kept)
    assert [view.display_name for view in conference.roster()] == [kept]
