"""R19: which language a caller is greeted in, and how he changes it."""

import phonenumbers
import pytest

import bridge.prompts
from bridge.conference import api
from bridge.conference.api import ConferenceConfig, LegKind, LegState
from bridge.conference.languages import LANGUAGES, OF_COUNTRY, after
from bridge.units import LegId
from tests.bridge.conference.driver import CODE, PIN, SID, Bridge


def spoken(bridge: Bridge, leg: str) -> list[tuple[tuple[str, ...], str]]:
    plays = [c for c in bridge.commands if isinstance(c, api.PlayPrompts) and c.leg == leg]
    return [(play.prompts, play.language) for play in plays if not play.loop]


@pytest.mark.parametrize(
    ("country", "language"),
    [("US", "en"), ("FR", "fr"), ("IT", "it"), ("AT", "de"), ("MX", "es"), ("BR", "pt")],
)
def test_a_caller_is_greeted_in_the_language_of_his_numbers_country(
    country: str, language: str
) -> None:
    bridge = Bridge()
    bridge.dial("ann", country, LegKind.TOLL)
    assert spoken(bridge, "ann") == [(("greeting",), language)]
    bridge.keys("ann", f"{CODE}#")
    assert spoken(bridge, "ann")[1:] == [(("pin", "waiting"), language)]
    assert bridge.view("ann").language == language


def test_where_no_country_says_the_configured_language_is_spoken() -> None:
    bridge = Bridge(config=ConferenceConfig(language="nl"))
    bridge.voip("ann")
    bridge.dial("bob", "SE", LegKind.TOLL)
    assert spoken(bridge, "ann") == [(("waiting",), "nl")]
    assert spoken(bridge, "bob") == [(("greeting",), "nl")]


def test_the_star_key_greets_in_the_next_language() -> None:
    bridge = Bridge()
    bridge.dial("ann", "PT", LegKind.TOLL)
    bridge.keys("ann", "**")
    assert [language for _, language in spoken(bridge, "ann")] == ["pt", "nl", "en"]
    bridge.keys("ann", f"12*{CODE}#")
    assert bridge.state("ann") is LegState.WAITING, "within a code it begins the code anew"
    assert bridge.view("ann").language == "en"


def test_everybody_hears_what_is_said_to_all_in_the_organizers_language() -> None:
    bridge = Bridge()
    bridge.organizer("olivia", "FR", LegKind.TOLL)
    bridge.join("ann", "US")
    bridge.step(api.SetLecture(SID, on=True, by="web"))
    said = [c for c in bridge.commands if isinstance(c, api.PlayToMix)]
    assert (said[-1].prompts, said[-1].language) == (("lecture-on",), "fr")
    bridge.keys("ann", f"*0{PIN}#")
    bridge.step(api.SetLecture(SID, on=False, by="web"))
    said = [c for c in bridge.commands if isinstance(c, api.PlayToMix)]
    assert (said[-1].prompts, said[-1].language) == (("lecture-off",), "en")


def test_who_is_called_is_asked_in_the_language_of_his_number() -> None:
    bridge = Bridge(config=ConferenceConfig(call_me_countries=frozenset({"DE"})))
    ann = LegId("ann")
    bridge.step(api.CallMe(ann, SID, "+493022610", "Ann", "web"))
    bridge.step(api.LegReady(ann))
    bridge.step(api.LegAnswered(ann))
    assert spoken(bridge, "ann") == [(("call-me",), "de")]


def test_languages_are_those_that_are_spoken_and_countries_those_there_are() -> None:
    assert bridge.prompts.LANGUAGES == LANGUAGES
    assert set(OF_COUNTRY.values()) == set(LANGUAGES) - {"en"}
    assert set(OF_COUNTRY) <= phonenumbers.SUPPORTED_REGIONS | {"MF", "CW", "SX", "PN"}
    language = LANGUAGES[0]
    seen = []
    for _ in LANGUAGES:
        seen.append(language)
        language = after(language)
    assert seen == list(LANGUAGES)
    assert language == LANGUAGES[0]
