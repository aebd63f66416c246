"""Settings: what bridge.toml may say, and how every fault is named."""

from pathlib import Path

import pytest

from bridge.conference.api import StartPolicy
from bridge.config import Settings, SettingsError, load_settings, parse_settings
from bridge.sip.api import Address

SAMPLE = Path(__file__).parents[2] / "bridge.toml"
NO_ENVIRONMENT: dict[str, str] = {}


def load(tmp_path: Path, text: str, environment: dict[str, str] | None = None) -> Settings:
    path = tmp_path / "bridge.toml"
    path.write_text(text)
    return load_settings(path, environment=environment or NO_ENVIRONMENT)


def faults(tmp_path: Path, text: str, environment: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text, environment)
    return [line.replace(f"{tmp_path}/", "") for line in caught.value.lines]


def sample_with(old: str, new: str) -> str:
    text = SAMPLE.read_text()
    assert old in text
    return text.replace(old, new, 1)


def test_the_sample_file_is_accepted() -> None:
    settings = load_settings(SAMPLE, environment=NO_ENVIRONMENT)
    assert settings.sip.address == Address("127.0.0.1", 5060)
    (session,) = settings.session
    assert session.spec().start is StartPolicy.ON_JOIN
    assert session.spec().toll_free == {"US", "FR"}
    assert settings.conference_config().waiting_timeout_ms == 300_000
    assert settings.worker_settings().port_last == 44_999
    assert settings.trunk_of("127.3.2.1") == "carrier"
    assert settings.trunk_of("192.0.2.1") is None
    assert settings.trunk_of("::1") is None


def test_every_key_has_a_default(tmp_path: Path) -> None:
    assert load(tmp_path, "").waiting_room.timeout_s == 300


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "timeout_s = 300",
            "timeout = 300",
            "bridge.toml: waiting_room.timeout: 300: expected one of the keys keys_count, "
            "timeout_s, warning_s (did you mean 'timeout_s'?)",
        ),
        (
            "timeout_s = 300",
            'timeout_s = "soon"',
            "bridge.toml: waiting_room.timeout_s: 'soon': expected a valid number,"
            " unable to parse string as a number",
        ),
        (
            '"127.0.0.1:5060"',
            '"localhost"',
            "bridge.toml: sip.listen: 'localhost': expected address:port such as 127.0.0.1:5060"
            " or [::1]:5060",
        ),
        (
            'cidr = ["127.0.0.0/8"]',
            'cidr = ["127.0.0.1/8"]',
            "bridge.toml: trunk[0].cidr[0]: '127.0.0.1/8': expected a network such as 192.0.2.0/24",
        ),
        (
            '"482913"',
            '"48x"',
            "bridge.toml: session[0].access_code: '48x': expected 3 to 20 digits",
        ),
        (
            '"771144"',
            '"12"',
            "bridge.toml: session[0].organizer_pin: '12': expected 4 to 20 digits",
        ),
        (
            '["US", "FR"]',
            '["US", "XX"]',
            "bridge.toml: session[0].toll_free[1]: 'XX': expected a country of ISO 3166,"
            " two capital letters, such as US",
        ),
        (
            'account = "acme"',
            'account = "acne"',
            "bridge.toml: session[0].account: 'acne': expected the id of one of the [[account]]"
            " tables (did you mean 'acme'?)",
        ),
        (
            "[store]",
            "[shop]",
            "bridge.toml: shop: {'url': 'sqlite:///tollbridge.db'}: expected one of the keys"
            f" {', '.join(sorted(Settings.model_fields))}",
        ),
    ],
)
def test_a_fault_names_file_key_value_and_what_was_expected(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    assert faults(tmp_path, sample_with(old, new)) == [expected]


def test_a_duplicate_code_is_refused(tmp_path: Path) -> None:
    twin = '\n[[session]]\nid = "s2"\naccount = "acme"\naccess_code = "482913"\n'
    text = SAMPLE.read_text() + twin + 'organizer_pin = "771144"\n'
    (line,) = faults(tmp_path, text)
    assert line == (
        "bridge.toml: session[1].access_code: '482913': expected a value that session[0] has not"
    )


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    text = sample_with("timeout_s = 300", "timeout_s = -1").replace("5060", "99999")
    assert len(faults(tmp_path, text)) == 2


def test_money_is_a_string_in_the_contract(tmp_path: Path) -> None:
    (line,) = faults(tmp_path, sample_with('US = "0.06"', "US = 0.06"))
    assert line == "bridge.toml: contract[0].toll_free.US: 0.06: expected a valid string"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("[sip\n", "bridge.toml: expected TOML"), ("\x00", "bridge.toml: expected TOML")],
)
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, text: str, expected: str) -> None:
    assert faults(tmp_path, text)[0].startswith(expected)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.toml: expected a readable"):
        load_settings(tmp_path / "absent.toml", environment=NO_ENVIRONMENT)


def test_every_key_is_an_environment_variable(tmp_path: Path) -> None:
    environment = {
        "TOLLBRIDGE_SIP_LISTEN": "127.0.0.1:5090",
        "TOLLBRIDGE_WAITING_ROOM_TIMEOUT_S": "60",
        "TOLLBRIDGE_RTP_PORT_RANGE": "[50000, 50099]",
        "TOLLBRIDGE_WAITING_ROOM_KEYS_COUNT": "false",
        "OTHER": "x",
    }
    settings = load(tmp_path, "", environment)
    assert settings.sip.address.port == 5090
    assert settings.waiting_room.timeout_s == 60
    assert settings.rtp.port_range == [50_000, 50_099]
    assert settings.waiting_room.keys_count is False


def test_an_unknown_environment_variable_is_refused(tmp_path: Path) -> None:
    (line,) = faults(tmp_path, "", {"TOLLBRIDGE_SIP_LISTN": "x"})
    assert line == (
        "environment: TOLLBRIDGE_SIP_LISTN: 'x': expected a setting's name"
        " (did you mean 'TOLLBRIDGE_SIP_LISTEN'?)"
    )


def test_the_variables_of_the_session_command_are_no_settings(tmp_path: Path) -> None:
    assert (
        load(tmp_path, "", {"TOLLBRIDGE_API_TOKEN": "x", "TOLLBRIDGE_API_URL": "y"}) == Settings()
    )


def test_the_switch_to_numpy_is_no_setting(tmp_path: Path) -> None:
    assert load(tmp_path, "", {"TOLLBRIDGE_NUMPY": "1"}) == Settings()


def test_overrides_reach_any_key(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text(SAMPLE.read_text())
    settings = load_settings(
        path, overrides={"waiting_room.timeout_s": 5, "rtp.timeout_s": 1.5}, environment={}
    )
    assert (settings.waiting_room.timeout_s, settings.rtp.timeout_s) == (5, 1.5)


@pytest.mark.parametrize(
    "text",
    [
        "[rtp]\nport_range = [50000, 40000]",
        "[rtp]\nport_range = [40000, 40000]",
        '[rtp]\naddress = "here"',
        '[store]\nurl = "mysql://x"',
        "[waiting_room]\ntimeout_s = 0",
        "[waiting_room]\nkeys_count = 1",
    ],
)
def test_impossible_values_are_refused(tmp_path: Path, text: str) -> None:
    assert len(faults(tmp_path, text)) == 1


def test_a_window_that_closes_before_it_opens_is_refused(tmp_path: Path) -> None:
    window = 'access_code = "482913"\nopens = 2026-02-10T09:00:00Z\ncloses = 2026-02-10T08:00:00Z'
    (line,) = faults(tmp_path, sample_with('access_code = "482913"', window))
    assert "closes: a time after opens" in line


def test_a_store_elsewhere_keeps_the_outbox_in_a_local_file() -> None:
    settings = parse_settings({"store": {"url": "postgresql://db/tollbridge"}})
    assert settings.store.outbox_url == "sqlite:///tollbridge-outbox.db"
    assert Settings().store.outbox_url == Settings().store.url


def test_keys_of_controls_are_the_files_and_told_apart(tmp_path: Path) -> None:
    config = parse_settings({"keys": {"mute": "*6", "lock": ""}}).conference_config()
    assert (config.keys["mute"], config.keys["lock"], config.keys["start"]) == ("*6", "", "*1")
    with pytest.raises(SettingsError, match=r"keys: .*lock: keys that mute has not"):
        parse_settings({"keys": {"mute": "*7"}})
    with pytest.raises(SettingsError, match=r"keys.mute: '\*0': expected star and 1 to 9"):
        parse_settings({"keys": {"mute": "*0"}})


def test_call_me_is_off_without_a_gateway_and_limited_to_countries() -> None:
    assert parse_settings({}).conference_config().call_me_countries == frozenset()
    settings = parse_settings(
        {"call_me": {"gateway": "[::1]:5070", "countries": ["FR"], "ring_s": 20, "retries": 0}}
    )
    config = settings.conference_config()
    assert (config.call_me_countries, config.call_me_ring_ms) == (frozenset({"FR"}), 20_000)
    assert settings.call_me.address == Address("::1", 5_070)
    for key, value in (("gateway", "carrier"), ("countries", ["XX"]), ("caller_id", "a@b")):
        with pytest.raises(SettingsError, match=f"call_me.{key}"):
            parse_settings({"call_me": {key: value}})
