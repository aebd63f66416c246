"""Single header values: what is in the grammar, and that the rest is a ValueError."""

import pytest

from bridge.sip import headers, limits
from bridge.sip.headers import (
    is_private,
    parse_cseq,
    parse_name_addr,
    parse_number,
    parse_params,
    parse_uri,
    parse_via,
    split_list,
)


@pytest.mark.parametrize(
    ("text", "user", "host", "port"),
    [
        ("sip:join@192.0.2.1", "join", "192.0.2.1", None),
        ("SIP:+1800@Example.COM:5062;transport=tcp", "+1800", "Example.COM", 5062),
        ("sips:a%40b@host", "a@b", "host", None),
        ("sip:a:secret@host", "a", "host", None),
        ("sip:[2001:db8::1]:5070", "", "[2001:db8::1]", 5070),
        ("sip:node1", "", "node1", None),
        ("sip:x@my_host-2.local", "x", "my_host-2.local", None),
        ("sip:x@h:99999", "x", "h", 99_999),
        ("sip:x@example.com.", "x", "example.com.", None),
        ("tel:+1-800-555-0100;phone-context=x", "+1-800-555-0100", "", None),
        ("TEL:911", "911", "", None),
        ("mailto:a@b", "", "", None),
    ],
)
def test_uris(text: str, user: str, host: str, port: int | None) -> None:
    uri = parse_uri(text)
    assert (uri.user, uri.host, uri.port) == (user, host, port)


def test_uri_parameters_and_headers() -> None:
    uri = parse_uri("sip:a@h;LR;x=1?Subject=hi")
    assert dict(uri.params) == {"lr": None, "x": "1"}
    assert uri.has_headers
    assert not parse_uri("sip:a@h").has_headers


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip",
        "sip:",
        "sip:@host",
        "sip:a@",
        "sip:a b@host",
        "sip:a@ho st",
        "sip:a@host:port",
        "sip:a@host;",
        "sip:a@host;self=1;;",
        "sip:a@-host",
        "sip:a@[::g]",
        "sip:a@[1::2::3]",
        "tel:",
        "tel:+x",
        "http:",
        "1:2",
        "sip:" + "a" * limits.URI_CHARS_MAX,
        "<sip:a@b>",
    ],
)
def test_what_is_no_uri(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_uri(text)


@pytest.mark.parametrize("text", ["sip:a@host;self=1", "tel:+12015550123;self=1"])
def test_a_uri_parameter_called_self_is_a_value_error_not_a_type_error(text: str) -> None:
    with pytest.raises(ValueError, match="malformed"):
        parse_uri(text)


@pytest.mark.parametrize(
    ("text", "uri", "display", "params"),
    [
        ("sip:a@h;tag=1", "sip:a@h", "", {"tag": "1"}),
        ("<sip:a@h;lr>", "sip:a@h;lr", "", {}),
        ('"A \\"B\\" <x>" <sip:a@h>;tag=1;x', "sip:a@h", 'A "B" <x>', {"tag": "1", "x": None}),
        ("Jörg Müller <sip:a@h> ; Tag = 9 ", "sip:a@h", "Jörg Müller", {"tag": "9"}),
        ('<sip:a@h>;x="a;b\\"c"', "sip:a@h", "", {"x": 'a;b"c'}),
        ("tel:+1800;tag=7", "tel:+1800", "", {"tag": "7"}),
    ],
)
def test_name_addresses(text: str, uri: str, display: str, params: dict[str, str | None]) -> None:
    parsed = parse_name_addr(text)
    assert (parsed.uri, parsed.display, dict(parsed.params)) == (uri, display, params)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip:a@h,sip:b@h",
        "sip:a@h?x=y",
        "<sip:a@h",
        "<>",
        "A, B <sip:a@h>",
        '"A <sip:a@h>',
        '"A" sip:a@h',
        "<sip:a@h> x",
        "<sip:a@h>;;",
        "<sip:a@h>;tag=",
        "<sip:a@h>;tag=1;TAG=2",
        '<sip:a@h>;x="a"b',
        '<sip:a@h>;x="a',
        "<sip:a@h>;b@d=1",
        "x" * (limits.VALUE_CHARS_MAX + 1),
        "<sip:a@h>" + ";a" * 200,
    ],
)
def test_what_is_no_name_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_name_addr(text)


def test_lists_are_split_outside_quotes_and_brackets() -> None:
    assert split_list(" <sip:a@h> ") == ["<sip:a@h>"]
    value = '"A, B" <sip:a@h>, <sip:b,c@h>;x="1,\\"2" , sip:d@h'
    assert split_list(value) == ['"A, B" <sip:a@h>', '<sip:b,c@h>;x="1,\\"2"', "sip:d@h"]
    assert split_list("a,b") == ["a", "b"]


@pytest.mark.parametrize(
    "text", ["a,,b", "a,", ',"a"', "<a,b", '"a,b', "a," * 200 + "a", "a," * 8_000]
)
def test_what_is_no_list(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        split_list(text)


def test_via() -> None:
    via = parse_via("SIP / 2.0 / udp  Host_1:5070 ;branch=z9hG4bKx ;rport")
    assert (via.transport, via.host, via.port) == ("UDP", "host_1", 5070)
    assert via.branch == "z9hG4bKx"
    assert via.rfc3261
    assert not parse_via("SIP/2.0/UDP [::1];branch=z9hG4bK").rfc3261
    assert not parse_via("SIP/2.0/UDP h").rfc3261


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SIP/2.0/UDP",
        "SIP/1.0/UDP h",
        "SIP/2.0/UDP h:0",
        "SIP/2.0/UDP h:65536",
        "SIP/2.0/UDP h;",
    ],
)
def test_what_is_no_via(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_via(text)


def test_cseq_and_numbers() -> None:
    assert parse_cseq("0009  INVITE") == (9, "INVITE")
    assert parse_number("0068", 255) == 68
    for bad in ("2147483648 INVITE", "1", "INVITE", "-1 BYE", "1 BYE x", "1 B\u00c9"):
        with pytest.raises(ValueError, match="CSeq"):
            parse_cseq(bad)
    for bad in ("", "-1", "1.5", "256", "9" * 50, "\u0661"):
        with pytest.raises(ValueError, match="number"):
            parse_number(bad, 255)


def test_parameters_may_not_be_empty() -> None:
    with pytest.raises(ValueError, match="parameter"):
        parse_params("")


def test_private_addresses() -> None:
    assert is_private("10.0.0.1")
    assert is_private("[fd00::1]")
    assert not is_private("8.8.8.8")
    assert not is_private("example.com")
    assert headers.bracketed("[::1]") == "[::1]"


@pytest.mark.parametrize("scheme", ["sip", "sips"])
@pytest.mark.parametrize("user", ["", "482900@", "+12125550100@", "a-b.c@"])
@pytest.mark.parametrize("rest", ["host", "a_b.example", "192.0.2.1", "h:5060", "h.:0", "h:70000"])
def test_plain_uris_are_read_as_the_library_reads_all(scheme: str, user: str, rest: str) -> None:
    """Next to a parameter the same URI goes the long way; but for that both are the same."""
    plain = parse_uri(f"{scheme}:{user}{rest}")
    assert parse_uri(f"{scheme}:{user}{rest};x") == plain._replace(params={"x": None})


def test_a_line_break_in_a_via_is_none_of_its_parameters() -> None:
    with pytest.raises(ValueError, match="malformed Via"):
        parse_via("SIP/2.0/UDP host;branch=z9hG4bKa\nb")
