"""Settings of SIP: addresses that are listened on and told, users, and what the core is told."""

import hashlib
import socket
from pathlib import Path

import pytest

from bridge.config import SettingsError, parse_settings
from bridge.doctor import examine
from bridge.link import LegOpened
from bridge.net.sip_tls import valid_until
from bridge.sip.api import Address, SipUser
from bridge.sip_side import sip_config, told_media
from tests.certificates import expired, self_signed

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
        ({"sip": {"tls": "127.0.0.1"}}, "address:port such as 127.0.0.1:5060"),
        ({"sip": {"tls": "127.0.0.1:5061", "tls_key": "k"}}, "tls_certificate and tls_key, a PEM"),
        ({"sip": {"tls_certificate": "c"}}, 'tls = "address:port", as its certificate or key'),
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


@pytest.mark.parametrize(
    ("rtp", "six"),
    [
        ({"address": "127.0.0.1"}, False),
        ({"address": "::1"}, True),
        ({"address": "::", "advertise": "203.0.113.5"}, False),
        ({"address": "0.0.0.0"}, False),
    ],
)
def test_the_core_knows_what_rtp_goes_over(rtp: dict[str, str], six: bool) -> None:
    assert sip_config(parse_settings({"rtp": rtp}), BOUND).rtp_six is six


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


def test_doctor_says_that_tls_is_off() -> None:
    said: list[str] = []
    examine(None, said.append)
    assert "  fine   SIP over TLS: off" in said


def tls_toml(folder: Path, certificate: Path, key: Path, port: int = 0) -> Path:
    """Write a configuration with TLS."""
    path = folder / "bridge.toml"
    files = f'tls_certificate = "{certificate}"\ntls_key = "{key}"\n'
    path.write_text(
        f'[sip]\nlisten = "127.0.0.1:0"\ntls = "127.0.0.1:{port}"\n{files}'
        f'[store]\nurl = "sqlite:///{folder}/store.db"\n'
    )
    return path


def test_doctor_says_until_when_the_certificate_of_tls_is_valid(tmp_path: Path) -> None:
    made = self_signed(tmp_path)
    said: list[str] = []
    examine(tls_toml(tmp_path, *made), said.append)
    until = valid_until(made.certificate)
    assert "  fine   SIP over TLS 127.0.0.1:0" in said
    expected = f"  fine   certificate {made.certificate}, valid until {until:%Y-%m-%d %H:%M} UTC"
    assert expected in said


def test_doctor_names_a_certificate_that_has_expired(tmp_path: Path) -> None:
    faults = examine(tls_toml(tmp_path, *expired(tmp_path)), lambda _: None)
    assert faults == ["it has expired: phones refuse it"]


def test_doctor_names_a_key_that_is_not_the_certificates(tmp_path: Path) -> None:
    made, other = self_signed(tmp_path), self_signed(tmp_path, "other")
    faults = examine(tls_toml(tmp_path, made.certificate, other.key), lambda _: None)
    assert [fault.partition(":")[0] for fault in faults] == ["sip.tls_key"]


def test_doctor_names_a_port_of_tls_that_is_taken(tmp_path: Path) -> None:
    made = self_signed(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        faults = examine(tls_toml(tmp_path, *made, port), lambda _: None)
    assert any("cannot be bound: Address already in use" in fault for fault in faults)


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
