"""Settings of SIP: addresses that are listened on and told, users, and what the core is told."""

import hashlib

import pytest

from bridge.config import SettingsError, parse_settings
from bridge.doctor import examine
from bridge.link import LegOpened
from bridge.sip.api import Address, SipUser
from bridge.sip_side import sip_config, told_media

BOUND = Address("0.0.0.0", 5_060)
MD5 = hashlib.md5(b"ann:tollbridge:secret").hexdigest()


@pytest.mark.parametrize(
    ("advertise", "contact"),
    [
        ("203.0.113.5", Address("203.0.113.5", 5_060)),
        ("203.0.113.5:6060", Address("203.0.113.5", 6_060)),
        ("2001:db8::5", Address("2001:db8::5", 5_060)),
        ("[2001:db8::5]:6060", Address("2001:db8::5", 6_060)),
    ],
)
def test_what_is_advertised_is_told(advertise: str, contact: Address) -> None:
    settings = parse_settings({"sip": {"advertise": advertise}})
    assert sip_config(settings, BOUND).contact == contact


def test_media_is_told_as_advertised() -> None:
    opened = LegOpened(1, "0.0.0.0", 40_000)
    assert told_media(parse_settings({"rtp": {"advertise": "203.0.113.6"}}), opened) == LegOpened(
        1, "203.0.113.6", 40_000
    )
    assert told_media(parse_settings({}), opened).host not in ("", "0.0.0.0")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"sip": {"advertise": "bridge.example"}}, "an address such as 203.0.113.5"),
        ({"sip": {"advertise": "203.0.113.5:99999"}}, "an address such as 203.0.113.5"),
        ({"sip": {"listen": "127.0.0.1"}}, "address:port such as 127.0.0.1:5060"),
        ({"sip": {"listen": "::1"}}, "address:port such as 127.0.0.1:5060"),
        ({"rtp": {"advertise": "here"}}, "an IPv4 or IPv6 address"),
        ({"sip": {"realm": 'a"b'}}, "1 to 64 letters, digits"),
        ({"user": [{"name": "ann"}]}, "password: one, or ha1_md5 or ha1_sha256"),
        ({"user": [{"name": "a b", "password": "x"}]}, "1 to 64 letters, digits"),
        ({"user": [{"name": "ann", "ha1_md5": "12"}]}, "32 hexadecimal digits"),
        (
            {"user": [{"name": "ann", "password": "x"}, {"name": "ann", "password": "y"}]},
            "expected a value that user[0] has not",
        ),
    ],
)
def test_a_fault_says_what_was_expected(data: dict[str, object], expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_settings(data)
    assert expected in str(caught.value)


def test_a_fault_of_a_user_shows_no_password() -> None:
    with pytest.raises(SettingsError) as caught:
        parse_settings({"user": [{"name": "ann", "password": 771144}]})
    assert "771144" not in str(caught.value)


def test_users_and_trunks_are_told_to_the_core() -> None:
    settings = parse_settings(
        {
            "sip": {"require_auth": True, "realm": "here"},
            "trunk": [{"id": "carrier", "cidr": ["192.0.2.0/24"]}],
            "user": [{"name": "ann", "password": "secret"}, {"name": "ben", "ha1_md5": MD5}],
        }
    )
    config = sip_config(settings, BOUND)
    assert config.users == (SipUser("ann", "secret"), SipUser("ben", ha1_md5=MD5))
    assert "secret" not in repr(settings) + repr(config)
    assert (config.realm, config.require_auth) == ("here", True)
    assert config.trusted("192.0.2.7")
    assert not config.trusted("198.51.100.7")


def test_codecs_are_offered_in_the_order_of_the_settings() -> None:
    settings = parse_settings({"rtp": {"codecs": ["PCMA", "G722", "opus"]}})
    names = [codec.name for codec in sip_config(settings, BOUND).codecs]
    assert names == ["PCMA", "G722", "OPUS"]


def test_without_their_libraries_codecs_are_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    names = [codec.name for codec in sip_config(parse_settings({}), BOUND).codecs]
    assert names == ["L16", "PCMU", "PCMA"]
    said: list[str] = []
    examine(None, said.append)
    assert any(
        "codecs offered: L16, PCMU, PCMA; not opus (no module opuslib_next)" in s for s in said
    )


@pytest.mark.parametrize("codecs", [["opus"], ["PCMU", "PCMU"], ["GSM", "PCMU"], []])
def test_a_list_of_codecs_that_cannot_be_is_refused(codecs: list[str]) -> None:
    with pytest.raises(SettingsError, match=r"rtp\.codecs"):
        parse_settings({"rtp": {"codecs": codecs}})


def test_automatic_gain_and_noise_gate_are_told_to_the_worker() -> None:
    told = parse_settings({"rtp": {"automatic_gain": True}}).worker_settings()
    assert told.automatic_gain
    assert not told.noise_gate
