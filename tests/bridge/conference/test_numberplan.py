"""D18: the number plan, and what dialled text means."""

import phonenumbers
import pytest
from phonenumbers import PhoneNumberType

from bridge.conference.api import LegKind
from bridge.conference.numberplan import (
    Did,
    NumberPlan,
    _free_number,
    _variations,
    digits_of,
    is_access_code,
    is_pin,
)

PLAN = NumberPlan.build()
DIDS = [
    did
    for kind, countries in (
        (LegKind.TOLL_FREE, PLAN.toll_free_countries),
        (LegKind.TOLL, PLAN.toll_countries),
    )
    for country in countries
    if (did := PLAN.did(country, kind)) is not None
]


def test_enough_countries_have_numbers() -> None:
    assert len(PLAN.toll_free_countries) >= 100
    assert len(PLAN.toll_countries) >= 200
    assert len(DIDS) == len(PLAN.toll_free_countries) + len(PLAN.toll_countries)


def test_every_country_with_an_example_is_there() -> None:
    with_example = {
        country
        for country in phonenumbers.SUPPORTED_REGIONS
        if phonenumbers.example_number_for_type(country, PhoneNumberType.TOLL_FREE)
    }
    assert set(PLAN.toll_free_countries) == with_example
    assert list(PLAN.toll_free_countries) == sorted(with_example)


def test_each_number_belongs_to_one_country_and_kind() -> None:
    assert len({did.e164 for did in DIDS}) == len(DIDS)


@pytest.mark.parametrize("did", DIDS, ids=lambda did: f"{did.kind.value}-{did.country}")
def test_each_number_is_valid_and_of_its_kind(did: Did) -> None:
    number = phonenumbers.parse(did.e164)
    assert phonenumbers.is_possible_number(number)
    assert phonenumbers.is_valid_number(number)
    kind = phonenumbers.number_type(number)
    if did.kind is LegKind.TOLL_FREE:
        assert kind == PhoneNumberType.TOLL_FREE
    else:
        assert kind in (PhoneNumberType.FIXED_LINE, PhoneNumberType.FIXED_LINE_OR_MOBILE)
    example = phonenumbers.example_number(did.country)
    assert example is not None
    assert number.country_code == example.country_code


@pytest.mark.parametrize("did", DIDS, ids=lambda did: f"{did.kind.value}-{did.country}")
def test_each_number_is_found_by_itself(did: Did) -> None:
    assert PLAN.lookup(did.e164) == did


def test_the_rule_is_fixed() -> None:
    """These stand for all: whoever changes the rule changes what scenarios and people dial."""
    numbers = {(did.country, did.kind.value): did.e164 for did in DIDS}
    assert numbers["US", "toll"] == "+12015550123"
    assert numbers["US", "toll_free"] == "+18002345678"
    assert numbers["CA", "toll_free"] == "+18002123462"
    assert numbers["FR", "toll"] == "+33123456789"
    assert numbers["EH", "toll_free"] == "+212801234568"
    rebuilt = NumberPlan(tuple(DIDS))
    assert [rebuilt.did(did.country, did.kind) for did in DIDS] == DIDS


def test_the_plan_is_built_once() -> None:
    assert NumberPlan.build() is PLAN


def test_a_country_without_a_number_has_none() -> None:
    assert PLAN.did("XX", LegKind.TOLL) is None
    assert PLAN.did("US", LegKind.VOIP) is None


@pytest.mark.parametrize(
    "dialled",
    [
        "+12015550123",
        "12015550123",
        "0012015550123",
        "01112015550123",
        "+1 (201) 555-0123",
        "+1.201.555.0123",
        "1-201-555-0123",
        "tel:+1-201-555-0123",
        "+1-201-555-0123;phone-context=example.com",
        "+12015550123;npdi;rn=+12025550000",
        "201-555-0123;phone-context=+1",
        "tel:555-0123;isub=12;Phone-Context=+1-201",
        "  +12015550123 ",
    ],
)
def test_usual_notations_of_a_number_are_understood(dialled: str) -> None:
    assert PLAN.lookup(dialled) == Did("+12015550123", "US", LegKind.TOLL)


@pytest.mark.parametrize(
    "dialled",
    [
        "",
        "+",
        "join",
        "482913",
        "+999",
        "2015550123",
        "2015550123;phone-context=example.com",
        "2015550123;phone-context=+33",
        "+1201555012\u0663",
        "++12015550123",
        "+12015550123" + " " * 64,
        "+1201555O123",
        ";",
        "tel:",
    ],
)
def test_what_is_no_number_of_ours_is_none(dialled: str) -> None:
    assert PLAN.lookup(dialled) is None


@pytest.mark.parametrize(
    ("text", "code", "pin"),
    [
        ("123", True, False),
        ("1234", True, True),
        ("482913", True, True),
        ("1" * 20, True, True),
        ("12", False, False),
        ("1" * 21, False, False),
        ("12a4", False, False),
        ("12 34", False, False),
        ("1234\n", False, False),
        ("\u0661\u0662\u0663\u0664", False, False),
        ("", False, False),
    ],
)
def test_codes_are_3_and_pins_4_to_20_digits(text: str, code: bool, pin: bool) -> None:
    assert is_access_code(text) is code
    assert PLAN.is_access_code(text) is code
    assert is_pin(text) is pin


def test_the_digits_of_a_number_are_no_access_code() -> None:
    assert is_access_code("12015550123")
    assert not PLAN.is_access_code("12015550123")


def test_digits_are_nothing_when_the_text_is_too_long() -> None:
    assert digits_of("1" * 64) == "1" * 64
    assert digits_of("1" * 65) == ""


def test_variations_go_round_and_keep_their_zeros() -> None:
    seen = list(_variations("+12015550998"))
    assert seen[:4] == ["+12015550998", "+12015550999", "+12015550000", "+12015550001"]
    assert len(set(seen)) == 1_000


def test_a_plan_that_cannot_be_kept_is_our_bug() -> None:
    with pytest.raises(AssertionError, match="every variation"):
        _free_number("+12015550123", LegKind.TOLL_FREE, {})
