"""Descriptions whose RTP goes over the version of IP that ours does not go over."""

from bridge.sip.api import Accept, CallEnded, EndCause, SipConfig
from tests.bridge.sip.bench import CORE, MEDIA, OFFER, Bench, invite, request


def test_rtp_over_ipv6_is_refused_where_ours_is_ipv4() -> None:
    """Before the call is made known, in it, and as the answer to an offer of ours."""
    six = OFFER.replace("IP4 192.0.2.20", "IP6 2001:db8::20")
    bench = Bench(SipConfig(CORE, rtp_six=False))
    (refused,) = bench.hear(invite(body=six, call_id="c9", branch="b1"))
    assert refused.status == 488
    told = '301 192.0.2.10:5060 "Incompatible network address format"'
    assert refused.header("Warning") == told
    assert bench.dropped == ["no_common_address"]
    tag = bench.confirmed_call()
    again = request("INVITE", to_tag=tag, cseq=2, branch="b3", body=six)
    assert bench.hear(again)[0].header("Warning") == told
    bench.hear(request("INVITE", call_id="c3", branch="b4"))
    (ok,) = bench.step(Accept(bench.leg, MEDIA))
    ack = request("ACK", to_tag=ok.to_tag, call_id="c3", branch="x", body=six)
    assert bench.hear(ack)[0].method == "BYE"
    assert bench.ends == [CallEnded(bench.leg, EndCause.BAD_ANSWER)]
