"""Packets that a story leaves are what Wireshark reads: SIP decoded, RTP found by the SDP."""

import doctest
import ipaddress
import random
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from bridge.lab import pcap
from bridge.lab.evidence import Keeping
from bridge.lab.pcap import Datagram, checksum, ip_packet, write_pcapng
from bridge.lab.runner import Lab, LabOptions
from bridge.lab.selection import load_checked
from tests.bridge.lab.test_tracks import packet
from tests.peers.needs import need, need_pjsip

PHONE, BRIDGE = ("127.0.0.1", 35_060), ("127.0.0.1", 45_060)
BEGAN_NS = 1_790_000_000_123_456_789
EACH_STREAM = ("-e", "udp.srcport", "-e", "udp.dstport")
PJSIP_STORY = """\
scenario: Two meet, one with a phone of another make
session: {toll_free: [US]}
callers:
  olivia: {via: voip, role: organizer, agent: pjsip}
  ann:    {via: toll-free, country: US}
steps:
  - [olivia, ann]: join
  - wait: 1s
expect:
  events: [leg.answered]
  sip:
    olivia:
      in_order: [sends INVITE, gets 200 to INVITE, sends ACK, BYE, 200 to BYE]
      times: {INVITE: 1, BYE: 1, 200: 2}
      codec: PCMU
      ptime: 20ms
"""
CHECKED = ("-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE")


def sip(first: str, port: int = 0) -> bytes:
    sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    body = f"{sdp}m=audio {port} RTP/AVP 0\r\n" if port else ""
    head = [
        first,
        "Via: SIP/2.0/UDP 127.0.0.1:35060;branch=z9hG4bK1",
        "From: <sip:ann@127.0.0.1>;tag=1",
        "To: <sip:482913@127.0.0.1>" + (";tag=2" if first.startswith("SIP") else ""),
        "Call-ID: story@lab",
        "CSeq: 1 INVITE",
        *(["Content-Type: application/sdp"] if port else []),
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()


def story() -> list[Datagram]:
    invite = Datagram(BEGAN_NS, PHONE, BRIDGE, sip("INVITE sip:482913@127.0.0.1 SIP/2.0", 5_004))
    answer = Datagram(BEGAN_NS + 10**7, BRIDGE, PHONE, sip("SIP/2.0 200 OK", 40_000))
    spoken = [packet(number) for number in range(25)]
    return [
        invite,
        answer,
        *(Datagram(BEGAN_NS + one.at_ns, one.local, one.remote, one.payload) for one in spoken),
    ]


def tshark(file: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["tshark", "-r", str(file), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.peer
def test_wireshark_decodes_sip_and_finds_the_stream_that_its_sdp_named(tmp_path: Path) -> None:
    need("tshark")
    file = tmp_path / "packets.pcapng"
    write_pcapng(file, story(), comment="a story")
    fields = ("sip.Method", "sip.Status-Code", "sdp.media.port", "frame.time_epoch")
    shown = tshark(file, "-Y", "sip", "-T", "fields", *(x for f in fields for x in ("-e", f)))
    first, second = (line.split("\t") for line in shown.splitlines())
    assert (first[0], first[2]) == ("INVITE", "5004")
    assert (second[1], second[2]) == ("200", "40000")
    assert first[3].startswith("1790000000.123456789")
    assert len(tshark(file, "-Y", "rtp.setup-method == SDP").splitlines()) == 25
    assert "g711U" in tshark(file, "-q", "-z", "rtp,streams")
    bad = "ip.checksum.status == Bad || udp.checksum.status == Bad || _ws.malformed"
    assert tshark(file, *CHECKED, "-Y", bad) == ""


@pytest.mark.peer
async def test_a_phone_of_another_make_is_in_the_packets_as_all_others_are(tmp_path: Path) -> None:
    """PJSIP owns its sockets: what the bridge saw of it stands beside the lab's own callers."""
    need("tshark")
    need_pjsip()
    file = tmp_path / "two.yaml"
    file.write_text(PJSIP_STORY)
    lab = Lab.open(LabOptions(keeping=Keeping(tmp_path / "kept", everything=True)))
    try:
        result = await lab.run(load_checked(file))
    finally:
        await lab.close()
    assert {one.name for one in result.verdicts if one.ok} >= {
        f"sip.olivia.{part}" for part in ("in_order", "times", "codec", "ptime")
    }
    packets = Path(result.folder) / "packets.pcapng"
    shown = tshark(packets, "-Y", "sip.Method == INVITE", "-T", "fields", "-e", "sip.User-Agent")
    assert {line.split("/")[0] for line in shown.split()} == {"tollbridge-lab", "tollbridge-phone"}
    of_sdp = tshark(packets, "-Y", "rtp.setup-method == SDP", "-T", "fields", *EACH_STREAM)
    count = Counter(of_sdp.splitlines())
    assert len(count) == 4, "two callers, two directions each"
    assert min(count.values()) > 25
    bad = "ip.checksum.status == Bad || udp.checksum.status == Bad || _ws.malformed"
    assert tshark(packets, *CHECKED, "-Y", bad) == ""
    names = {f"{name}.{way}.wav" for name in ("ann", "olivia") for way in ("sent", "received")}
    assert names <= {Path(one).name for one in result.files}


def by_words(data: bytes) -> int:
    """Sum words and add the carry of each, as RFC 1071 §4.1 writes it."""
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at : at + 2].ljust(2, b"\0"))
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def test_checksums_are_those_of_the_standards() -> None:
    """RFC 1071: a packet summed with its own checksum gives nought."""
    assert doctest.testmod(pcap).failed == 0
    draw = random.Random(1071)
    given = [draw.randbytes(draw.randrange(1, 200)) for _ in range(200)]
    for data in (b"", bytes(6), b"\xff\xff", b"\xff" * 7, b"\0\1\xff\xfe", *given):
        assert checksum(data) == by_words(data)
    four = ip_packet(Datagram(0, ("192.0.2.1", 1), ("192.0.2.2", 2), b"odd"))
    assert checksum(four[:20]) == 0
    six = ip_packet(Datagram(0, ("2001:db8::1", 1), ("::1", 2), b"even"))
    assert six[6] == 17
    ends = ipaddress.ip_address("2001:db8::1").packed + ipaddress.ip_address("::1").packed
    assert checksum(ends + len(six[40:]).to_bytes(4) + b"\0\0\0\x11" + six[40:]) == 0
