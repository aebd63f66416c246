"""The torture messages of RFC 4475, written down from the RFC, with what our core must do.

Each entry: the RFC's name, the bytes, the status of the answer (0: none, a response or an ACK),
and the reason that is counted ("" when nothing is wrong). Line ends are CRLF on the wire.
"""

from typing import Final, NamedTuple


class Torture(NamedTuple):
    """One message of RFC 4475."""

    name: str
    data: bytes
    status: int
    reason: str = ""


SDP: Final = """v=0
o=mhandley 29739 7272939 IN IP4 192.0.2.3
s=-
c=IN IP4 192.0.2.4
t=0 0
m=audio 49217 RTP/AVP 0 12
m=video 3227 RTP/AVP 31
a=rtpmap:31 LPC
"""


def _wire(text: str, body: str = "", raw: dict[str, bytes] | None = None) -> bytes:
    body = body.replace("\n", "\r\n")
    head = text.strip("\n").replace("{length}", str(len(body))).replace("\n", "\r\n")
    data = f"{head}\r\n\r\n{body}".encode()
    for name, value in (raw or {}).items():
        data = data.replace(f"<<{name}>>".encode(), value)
    return data


def _options(**changes: str) -> str:
    values = {
        "start": "OPTIONS sip:user@example.com SIP/2.0",
        "to": "To: sip:user@example.com",
        "from": "From: sip:caller@example.net;tag=323",
        "via": "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKkdjuw",
        "cseq": "CSeq: 1 OPTIONS",
        "max": "Max-Forwards: 70",
        "call_id": "Call-ID: transports.kijh4akdnaqjkwendsasfdj",
        "length": "Content-Length: 0",
        **changes,
    }
    return "\n".join(line for line in values.values() if line)


def _invite(**changes: str) -> str:
    values = {
        "start": "INVITE sip:user@example.com SIP/2.0",
        "contact": "Contact: <sip:caller@host5.example.net>",
        "cseq": "CSeq: 8 INVITE",
        "call_id": "Call-ID: c.0ha0isndaksdj99sdfafnl3lk233412",
        "type": "Content-Type: application/sdp",
        "length": "Content-Length: {length}",
        **changes,
    }
    return _options(**values)


WSINV: Final = """INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0
TO :
 sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n
from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>
  ;
  tag = 98asjd8
MaX-fOrWaRdS: 0068
Call-ID: wsinv.ndaksdj@192.0.2.1
Content-Length   : {length}
cseq: 0009
  INVITE
Via  : SIP  /   2.0
 /UDP
    192.0.2.2;branch=390skdjuw
s :
NewFangledHeader:   newfangled value
 continued newfangled value
UnknownHeaderWithUnusualValue: ;;,,;;,;
Content-Type: application/sdp
Route:
 <sip:services.example.com;lr;unknownwith=value;unknown-no-value>
v:  SIP  / 2.0  / TCP     spindle.example.com   ;
  branch  =   z9hG4bK9ikj8  ,
 SIP  /    2.0   / UDP  192.168.255.111   ; branch=
 z9hG4bK30239
m:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =
      newvalue ;
  secondparam ; q = 0.33"""

INTMETH: Final = """!interesting-Method0123456789_*+`.%indeed'~ \
sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)\
@example.com SIP/2.0
Via: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~
To: "BEL:\\<<bel>> NUL:\\<<nul>> DEL:\\<<del>>" \
<sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com>
From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\
"<<utf8>>";tag=_token~1'+`*%!-.
Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/"][?}{
CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~
Max-Forwards: 255
extensionHeader-!.%*+_`'~:<<utf8>>
Content-Length: 0"""

LONG: Final = "longvalue" * 20

MESSAGES: Final = (
    # --- §3.1.1 valid -------------------------------------------------------------------
    Torture("wsinv", _wire(WSINV, SDP), 481, "unknown_dialog"),
    Torture(
        "wsinv without a To tag",
        _wire(WSINV.replace(" ;   tag    = 1918181833n", ""), SDP),
        100,
    ),
    Torture(
        "intmeth",
        _wire(
            INTMETH,
            raw={
                "bel": b"\x07",
                "nul": b"\x00",
                "del": b"\x7f",
                "utf8": b"\xd1\x80\xd0\xb0\xd0\xb1\xd0\xbe\xd1\x82\xd0\xb0\xd1\x8e",
            },
        ),
        405,
        "method_not_allowed",
    ),
    Torture(
        "esc01",
        _wire(_invite(start="INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0"), SDP),
        100,
    ),
    Torture(
        "escnull",
        _wire(
            _options(
                start="OPTIONS sip:null-%00-null@example.com SIP/2.0",
                to="To: sip:null-%00-null@example.com",
                **{"from": "From: sip:null-%00-null@example.com;tag=839923423"},
            )
        ),
        200,
    ),
    Torture(
        "esc02",
        _wire(
            _options(
                start="RE%47IST%45R sip:registrar.example.com SIP/2.0", cseq="CSeq: 2 RE%47IST%45R"
            )
        ),
        405,
        "method_not_allowed",
    ),
    Torture(
        "lwsdisp",
        _wire(_options(**{"from": "From: caller<sip:caller@example.com>;tag=323"})),
        200,
    ),
    Torture(
        "longreq",
        _wire(
            _invite(
                to=f'To: "I have a user name of {LONG}" <sip:user@example.com:6000;unknownparam1='
                f"very{LONG};longparam{LONG}=shortvalue>",
                **{
                    "from": f"F: sip:{LONG}@example.net;tag=12982{LONG};unknown{LONG}=unknown{LONG}"
                },
                call_id=f"Call-ID: longreq.one{LONG}",
                cseq="CSeq: 3882340 INVITE",
                more=f"Unknown-{LONG}-Name: unknown-{LONG}-value",
                via="Via: SIP/2.0/TCP sip33.example.com\n"
                + "\n".join(
                    f"v: SIP/2.0/TCP sip{n}.example.com;branch=z9hG4bK{LONG}"
                    for n in range(32, 0, -1)
                ),
                contact=f"Contact: <sip:amazinglylongcallername{LONG}@host5.example.net>",
            ),
            SDP,
        ),
        100,
    ),
    Torture(
        "dblreq",
        _wire(_options(), "INVITE sip:joe@example.com SIP/2.0\nt: sip:joe@example.com\n"),
        200,
    ),
    Torture(
        "semiuri",
        _wire(_options(start="OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0")),
        200,
    ),
    Torture(
        "transports",
        _wire(
            _options(
                via="Via: SIP/2.0/UDP t1.example.org;branch=z9hG4bKkdjuw\n"
                "Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf\n"
                "Via: SIP/2.0/TLS t3.example.edu;branch=z9hG4bK2980unddj\n"
                "Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en\n"
                "Via: SIP/2.0/TCP t5.example.gov;branch=z9hG4bK0a9idfnee"
            )
        ),
        200,
    ),
    Torture(
        "mpart01",
        _wire(
            _options(
                start="MESSAGE sip:kumiko@example.org SIP/2.0",
                cseq="CSeq: 127 MESSAGE",
                type="Content-Type: multipart/mixed;boundary=7a9cbec02ceef655",
                length="Content-Length: {length}",
            ),
            "--7a9cbec02ceef655\nContent-Type: text/plain\n\nHello\n--7a9cbec02ceef655--",
        ),
        405,
        "method_not_allowed",
    ),
    Torture(
        "unreason",
        _wire(
            _options(start="SIP/2.0 200 = 2**3 * 5**2 <<utf8>>", cseq="CSeq: 35 INVITE"),
            raw={"utf8": b"\xd0\xbd\xd0\xbe"},
        ),
        0,
        "stray_response",
    ),
    Torture(
        "noreason",
        _wire(_options(start="SIP/2.0 100 ", cseq="CSeq: 35 INVITE")),
        0,
        "stray_response",
    ),
    # --- §3.1.2 invalid -----------------------------------------------------------------
    Torture(
        "badinv01",
        _wire(
            _invite(
                to="To: sip:j.user@example.com",
                **{"from": "From: sip:caller@example.net;tag=134161461246"},
                contact='Contact: "Joe" <sip:joe@example.org>;;;;',
                via="Via: SIP/2.0/UDP 192.0.2.15;;,;,,",
            ),
            SDP,
        ),
        400,
        "malformed_via",
    ),
    Torture(
        "badinv01 with a clean Via",
        _wire(_invite(contact='Contact: "Joe" <sip:joe@example.org>;;;;'), SDP),
        400,
        "malformed_contact",
    ),
    Torture(
        "clerr",
        _wire(_invite(length="Content-Length: 9999"), SDP),
        400,
        "body_shorter_than_content_length",
    ),
    Torture(
        "ncl", _wire(_invite(length="Content-Length: -999"), SDP), 400, "malformed_content_length"
    ),
    Torture(
        "scalar02",
        _wire(
            _options(
                start="REGISTER sip:example.com SIP/2.0",
                cseq="CSeq: 36893488147419103232 REGISTER",
                max="Max-Forwards: 300",
                expires="Expires: 10000000000000000000000000000000",
            )
        ),
        400,
        "malformed_cseq",
    ),
    Torture(
        "scalar02 Max-Forwards",
        _wire(_options(max="Max-Forwards: 300")),
        400,
        "malformed_max_forwards",
    ),
    Torture(
        "scalarlg",
        _wire(
            _options(
                start="SIP/2.0 503 Service Unavailable",
                cseq="CSeq: 9292394834772304023312 OPTIONS",
                retry="Retry-After: 949302838503028349304023988",
            )
        ),
        0,
        "malformed_cseq",
    ),
    Torture(
        "quotbal",
        _wire(_invite(to='To: "Mr. J. User <sip:j.user@example.com>'), SDP),
        400,
        "malformed_to",
    ),
    Torture(
        "ltgtruri",
        _wire(_invite(start="INVITE <sip:user@example.com> SIP/2.0"), SDP),
        400,
        "malformed_request_uri",
    ),
    Torture(
        "lwsruri",
        _wire(_invite(start="INVITE sip:user@example.com; lr SIP/2.0"), SDP),
        400,
        "malformed_start_line",
    ),
    Torture(
        "lwsstart",
        _wire(_invite(start="INVITE  sip:user@example.com  SIP/2.0"), SDP),
        400,
        "malformed_start_line",
    ),
    Torture(
        "trws",
        _wire(_options(start="OPTIONS sip:remote-target@example.com SIP/2.0  ")),
        400,
        "malformed_start_line",
    ),
    Torture(
        "escruri",
        _wire(
            _invite(start="INVITE sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0"), SDP
        ),
        400,
        "headers_in_request_uri",
    ),
    Torture(
        "baddate",
        # The RFC lets an element ignore a Date that it does not need.
        _wire(_invite(date="Date: Fri, 01 Jan 2010 16:00:00 EST"), SDP),
        100,
    ),
    Torture(
        "regbadct",
        _wire(
            _options(
                start="REGISTER sip:example.com SIP/2.0",
                cseq="CSeq: 998 REGISTER",
                contact="Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E",
            )
        ),
        405,
        "method_not_allowed",
    ),
    Torture(
        "regbadct in an INVITE",
        _wire(
            _invite(contact="Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E"), SDP
        ),
        400,
        "malformed_contact",
    ),
    Torture(
        "badaspec",
        _wire(_options(to='To: "Watson, Thomas" < t.watson@example.org >')),
        400,
        "malformed_to",
    ),
    Torture(
        "baddn",
        _wire(_options(**{"from": "From: Bell, Alexander <sip:a.g.bell@example.com>;tag=43"})),
        400,
        "malformed_from",
    ),
    Torture(
        "badvers",
        _wire(_options(start="OPTIONS sip:t.watson@example.org SIP/7.0")),
        505,
        "version_not_supported",
    ),
    Torture("mismatch01", _wire(_options(cseq="CSeq: 8 INVITE")), 400, "cseq_method_mismatch"),
    Torture(
        "mismatch02",
        _wire(_options(start="NEWMETHOD sip:user@example.com SIP/2.0", cseq="CSeq: 8 INVITE")),
        400,
        "cseq_method_mismatch",
    ),
    Torture(
        "bigcode",
        _wire(
            _options(
                start="SIP/2.0 4294967301 better not break the receiver", cseq="CSeq: 1 INVITE"
            )
        ),
        0,
        "malformed_status",
    ),
    # --- §3.2 and §3.3 ------------------------------------------------------------------
    Torture("badbranch", _wire(_options(via="Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK")), 200),
    Torture(
        "insuf",
        _wire(_invite(call_id="", to="", contact="", **{"from": ""}), SDP),
        400,
        "missing_call_id",
    ),
    Torture(
        "unkscm",
        _wire(_options(start="OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0")),
        416,
        "unsupported_uri_scheme",
    ),
    Torture(
        "novelsc",
        _wire(_options(start="OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0")),
        416,
        "unsupported_uri_scheme",
    ),
    Torture(
        "unksm2",
        _wire(
            _options(
                start="REGISTER sip:example.com SIP/2.0",
                cseq="CSeq: 234902 REGISTER",
                to="To: isbn:2983792873",
                **{"from": "From: <http://www.example.com>;tag=3234233"},
                contact="Contact: <name:John_Smith>",
            )
        ),
        405,
        "method_not_allowed",
    ),
    Torture(
        "bext01",
        _wire(
            _options(
                require="Require: nothingSupportsThis, nothingSupportsThisEither",
                proxy="Proxy-Require: noProxiesSupportThis, norDoAnyProxiesSupportThis",
            )
        ),
        420,
        "unsupported_extension",
    ),
    Torture(
        "invut",
        _wire(
            _invite(type="Content-Type: application/unknownformat"),
            "<audio><pcmu port='443'/></audio>",
        ),
        415,
        "unsupported_body",
    ),
    Torture(
        "regaut01",
        _wire(
            _options(
                start="REGISTER sip:example.com SIP/2.0",
                cseq="CSeq: 9338 REGISTER",
                auth="Authorization: NoOneKnowsThisScheme opaque-data=here",
            )
        ),
        405,
        "method_not_allowed",
    ),
    Torture(
        "multi01",
        _wire(
            _invite(again="CSeq: 59 INVITE\nCall-ID: multi01.another\nTo: sip:other@example.com"),
            SDP,
        ),
        400,
        "repeated_call_id",
    ),
    Torture("mcl01", _wire(_options(again="Content-Length: 5")), 400, "repeated_content_length"),
    Torture(
        "bcast",
        _wire(
            _options(
                start="SIP/2.0 200 OK",
                via="Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923\n"
                "Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23",
                cseq="CSeq: 1234 INVITE",
            )
        ),
        0,
        "stray_response",
    ),
    # The RFC lets an endpoint serve it; ours refuses it like a proxy.
    Torture("zeromf", _wire(_options(max="Max-Forwards: 0")), 483, "too_many_hops"),
    Torture(
        "cparam01",
        _wire(
            _options(
                start="REGISTER sip:example.com SIP/2.0",
                cseq="CSeq: 2 REGISTER",
                contact="Contact: sip:+19725552222@gw1.example.net;unknownparam",
            )
        ),
        405,
        "method_not_allowed",
    ),
    Torture(
        "cparam02 in an INVITE",
        _wire(_invite(contact="Contact: <sip:+19725552222@gw1.example.net;unknownparam>"), SDP),
        100,
    ),
    Torture(
        "regescrt in an INVITE",
        _wire(
            _invite(contact="Contact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>"), SDP
        ),
        100,
    ),
    Torture(
        "sdp01", _wire(_invite(accept="Accept: text/nobodyKnowsThis"), SDP), 406, "sdp_not_accepted"
    ),
    # --- §3.4 ---------------------------------------------------------------------------
    Torture(
        "inv2543",
        _wire(
            _invite(
                start="INVITE sip:UserB@example.com SIP/2.0",
                via="Via: SIP/2.0/UDP iftgw.example.com",
                **{"from": "From: <sip:+13035551111@ift.client.example.net;user=phone>"},
                to="To: sip:+16505552222@ss1.example.net;user=phone",
                contact="Contact: <sip:+13035551111@ift.client.example.net;user=phone>",
                max="",
            ),
            SDP,
        ),
        100,
    ),
)
