"""The registrar and digest by their rules: who may register what, for how long, with what proof."""

import hashlib
import re

import pytest

from bridge.sip import digest
from bridge.sip.api import (
    Accept,
    Address,
    CallIncoming,
    Dial,
    LocalMedia,
    Received,
    SipConfig,
    SipUser,
)
from bridge.units import LegId, NowNs
from tests.bridge.sip.bench import CORE, MEDIA, OFFER, PEER, Bench, Sent, invite, request
from tests.bridge.sip.pair import S

ANN = SipUser("ann", "secret")
BEN = SipUser("ben", ha1_md5=hashlib.md5(b"ben:tollbridge:other").hexdigest())
CARL = SipUser("carl", ha1_sha256=hashlib.sha256(b"carl:tollbridge:third").hexdigest().upper())
USERS = (ANN, BEN, CARL)
CONTACT = "Contact: <sip:ann@192.0.2.20:5062>"


class Phone:
    """A phone that registers: counts its requests and answers challenges."""

    def __init__(self, user: str = "ann", password: str = "secret", **config: object) -> None:
        self.bench = Bench(SipConfig(CORE, users=USERS, **config))  # type: ignore[arg-type]
        self.user = user
        self.password = password
        self.nonce = ""
        self.count = 0
        self.cseq = 0
        self.transport = "UDP"

    def text(self, *lines: str, method: str = "REGISTER", to: str = "") -> str:
        self.cseq += 1
        head = [
            f"{method} sip:bridge.example SIP/2.0",
            f"Via: SIP/2.0/{self.transport} 192.0.2.20:5062;branch=z9hG4bKr{self.cseq}",
            f"From: <sip:{self.user}@bridge.example>;tag=f",
            f"To: <sip:{to or self.user}@bridge.example>",
            "Call-ID: registration",
            f"CSeq: {self.cseq} {method}",
            *lines,
            "Content-Length: 0",
        ]
        return "\r\n".join(head) + "\r\n\r\n"

    def hear(self, text: str) -> Sent:
        (answer,) = self.bench.step(
            Received(text.encode(), PEER, CORE, self.transport)  # type: ignore[arg-type]
        )
        return answer

    def challenge(self) -> Sent:
        answer = self.hear(self.text(CONTACT))
        assert answer.status == 401
        found = re.search(r'nonce="([^"]+)"', answer.header("WWW-Authenticate"))
        assert found
        self.nonce, self.count = found[1], 0
        return answer

    def proof(self, method: str = "REGISTER", algorithm: str = "MD5", **swap: str) -> str:
        self.count += 1
        params = {
            "username": self.user,
            "realm": "tollbridge",
            "nonce": self.nonce,
            "uri": "sip:bridge.example",
            "qop": "auth",
            "nc": f"{self.count:08x}",
            "cnonce": "abc",
            "algorithm": algorithm,
        }
        params.update(swap)
        name = "md5" if params["algorithm"] == "MD5" else "sha256"

        def hashed(text: str) -> str:
            return hashlib.new(name, text.encode()).hexdigest()

        ha1 = hashed(f"{params['username']}:{params['realm']}:{self.password}")
        ha2 = hashed(f"{method}:{params['uri']}")
        middle = ":".join(params[key] for key in ("nonce", "nc", "cnonce", "qop"))
        params.setdefault("response", hashed(f"{ha1}:{middle}:{ha2}"))
        bare = ("nc", "qop", "algorithm")
        words = [f"{k}={v}" if k in bare else f'{k}="{v}"' for k, v in params.items() if v]
        return "Authorization: Digest " + ", ".join(words)

    def register(self, *lines: str, to: str = "") -> Sent:
        if not self.nonce:
            self.challenge()
        return self.hear(self.text(*(lines or (CONTACT,)), self.proof(), to=to))

    def places(self, user: str = "ann") -> list[str]:
        now_ns = NowNs(self.bench.now_ns)
        return [b.contact for b in self.bench.core.bindings(user, now_ns)]


# --- digest -------------------------------------------------------------------------------


def test_a_register_without_credentials_is_challenged_with_both_algorithms() -> None:
    answer = Phone().challenge()
    offered = answer.headers("WWW-Authenticate")
    assert [re.findall(r"algorithm=([^,]+)", line) for line in offered] == [["SHA-256"], ["MD5"]]
    assert all('realm="tollbridge"' in line and 'qop="auth"' in line for line in offered)
    assert not any("stale" in line for line in offered)


@pytest.mark.parametrize(
    ("user", "password", "algorithm", "status"),
    [
        ("ann", "secret", "MD5", 200),
        ("ann", "secret", "SHA-256", 200),
        ("ben", "other", "MD5", 200),
        ("ben", "other", "SHA-256", 401),
        ("carl", "third", "SHA-256", 200),
        ("carl", "third", "MD5", 401),
        ("ann", "Secret", "MD5", 401),
        ("nobody", "secret", "MD5", 401),
        ("ann", "secret", "SHA-512", 401),
    ],
)
def test_credentials(user: str, password: str, algorithm: str, status: int) -> None:
    phone = Phone(user, password)
    phone.challenge()
    answer = phone.hear(phone.text(CONTACT, phone.proof(algorithm=algorithm)))
    assert answer.status == status
    assert bool(phone.places(user)) == (status == 200)
    assert "stale" not in answer.header("WWW-Authenticate")


def test_a_nonce_that_is_too_old_is_stale_and_the_next_one_works() -> None:
    phone = Phone()
    assert phone.register().status == 200
    phone.bench.wait((digest.NONCE_LIFE_S + 1) * S)
    answer = phone.register()
    assert answer.status == 401
    assert "stale=true" in answer.header("WWW-Authenticate")
    assert phone.bench.dropped[-1] == "credentials_stale"
    phone.nonce = ""
    assert phone.register().status == 200


def test_a_count_that_was_seen_is_no_proof_any_more() -> None:
    phone = Phone()
    phone.challenge()
    assert phone.hear(phone.text(CONTACT, phone.proof(nc="00000002"))).status == 200
    for count, status in (("00000002", 401), ("00000001", 401), ("00000003", 200)):
        assert phone.hear(phone.text(CONTACT, phone.proof(nc=count))).status == status


@pytest.mark.parametrize("nonce", ["x.y.z", "ffff", "0.t99.0000"])
def test_a_nonce_that_is_not_ours_is_stale_when_the_password_is_right(nonce: str) -> None:
    phone = Phone()
    phone.challenge()
    answer = phone.hear(phone.text(CONTACT, phone.proof(nonce=nonce)))
    assert answer.status == 401
    assert "stale=true" in answer.header("WWW-Authenticate")


def test_of_too_many_nonces_the_oldest_are_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "NONCES_MAX", 1)
    phone = Phone()
    assert phone.register().status == 200
    old = phone.nonce
    phone.bench.wait(2 * S)
    phone.nonce = ""
    assert phone.register().status == 200
    assert phone.hear(phone.text(CONTACT, phone.proof(nonce=old, nc="00000009"))).status == 401
    assert phone.register().status == 200


@pytest.mark.parametrize(
    "swap",
    [
        {"uri": "sip:other.example"},
        {"uri": "nonsense"},
        {"nc": "1"},
        {"nc": "0000000g"},
        {"cnonce": ""},
        {"response": ""},
    ],
    ids=str,
)
def test_credentials_that_do_not_fit_together_are_400(swap: dict[str, str]) -> None:
    phone = Phone()
    phone.challenge()
    answer = phone.hear(phone.text(CONTACT, phone.proof(**swap)))
    assert answer.status == 400
    assert phone.bench.dropped[-1] == "malformed_authorization"


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("Authorization: Basic YW5uOnNlY3JldA==", 401),
        ('Authorization: Digest realm="elsewhere", username="ann"', 401),
        ("Authorization: Digest", 400),
        ('Authorization: Digest realm="tollbridge", x', 400),
    ],
)
def test_other_credentials_are_no_proof(line: str, status: int) -> None:
    phone = Phone()
    assert phone.hear(phone.text(CONTACT, line)).status == status


def test_without_qop_there_is_no_proof() -> None:
    phone = Phone()
    phone.challenge()
    assert phone.hear(phone.text(CONTACT, phone.proof(qop=""))).status == 401


# --- the registrar ------------------------------------------------------------------------


def test_a_phone_is_kept_for_as_long_as_it_was_told() -> None:
    phone = Phone()
    answer = phone.register(CONTACT, "Expires: 120")
    assert answer.headers("Contact") == ["<sip:ann@192.0.2.20:5062>;expires=120"]
    phone.bench.wait(119 * S)
    assert phone.places() == ["sip:ann@192.0.2.20:5062"]
    phone.bench.wait(1 * S)
    assert phone.places() == []


@pytest.mark.parametrize(
    ("asked", "told"),
    [("", 3_600), ("60", 60), ("7200", 7_200), ("999999", 7_200), ("soon", 3_600)],
)
def test_how_long_a_phone_is_kept(asked: str, told: int) -> None:
    phone = Phone()
    answer = phone.register(f"{CONTACT};expires={asked}" if asked else CONTACT)
    assert answer.header("Contact").endswith(f";expires={told}")


def test_too_short_is_423_with_min_expires_and_changes_nothing() -> None:
    phone = Phone()
    answer = phone.register(f"{CONTACT}, <sip:ann@192.0.2.21>;expires=59")
    assert (answer.status, answer.header("Min-Expires")) == (423, "60")
    assert phone.places() == []


def test_phones_are_added_refreshed_removed_and_listed() -> None:
    phone = Phone()
    phone.register("Contact: <sip:a@192.0.2.20>, <sip:b@192.0.2.20>;expires=100")
    phone.register("Contact: <sip:a@192.0.2.20>;expires=200")
    assert phone.places() == ["sip:a@192.0.2.20", "sip:b@192.0.2.20"]
    answer = phone.hear(phone.text(phone.proof()))
    assert answer.headers("Contact") == [
        "<sip:a@192.0.2.20>;expires=200",
        "<sip:b@192.0.2.20>;expires=100",
    ]
    phone.register("Contact: <sip:a@192.0.2.20>", "Expires: 0")
    assert phone.places() == ["sip:b@192.0.2.20"]
    assert phone.register("Contact: *", "Expires: 0").status == 200
    assert phone.places() == []


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (("Contact: *",), 400),
        (("Contact: *", "Expires: 10"), 400),
        (("Contact: *, <sip:a@b>", "Expires: 0"), 400),
        (("Contact: <mailto:a@b.example>",), 400),
        (("Contact: nonsense",), 400),
        (("Contact: <sip:a@b>,,",), 400),
        ((", ".join(["Contact: <sip:0@b>", *(f"<sip:{n}@b>" for n in range(1, 11))]),), 403),
    ],
    ids=str,
)
def test_a_register_that_is_wrong_changes_nothing(lines: tuple[str, ...], status: int) -> None:
    phone = Phone()
    phone.register()
    assert phone.register(*lines).status == status
    assert phone.places() == ["sip:ann@192.0.2.20:5062"]


@pytest.mark.parametrize("late", [(CONTACT,), ("Contact: *", "Expires: 0")])
def test_an_older_register_changes_nothing(late: tuple[str, ...]) -> None:
    phone = Phone()
    phone.challenge()
    phone.cseq = 20
    phone.register()
    phone.cseq = 10
    assert phone.register(*late).status == 500
    assert phone.places() == ["sip:ann@192.0.2.20:5062"]


def test_nobody_registers_somebody_else() -> None:
    phone = Phone()
    assert phone.register(CONTACT, to="ben").status == 403
    assert phone.places("ben") == []


def test_a_repeated_register_gets_the_same_answer() -> None:
    phone = Phone()
    phone.challenge()
    text = phone.text(CONTACT, phone.proof())
    assert phone.hear(text).data == phone.hear(text).data


@pytest.mark.parametrize(
    ("contact", "transport", "place"),
    [
        ("sip:ann@192.0.2.20:5099", "UDP", Address("192.0.2.20", 5_099)),
        ("sip:ann@192.0.2.20", "UDP", Address("192.0.2.20", 5_060)),
        ("sip:ann@10.0.0.7:5099", "UDP", PEER),
        ("sip:ann@phone.example", "UDP", PEER),
        ("sip:ann@192.0.2.20:99999", "UDP", PEER),
        ("sip:ann@192.0.2.20:5099;transport=tcp", "TCP", PEER),
    ],
)
def test_a_registered_phone_can_be_called_where_it_was_heard(
    contact: str, transport: str, place: Address
) -> None:
    phone = Phone()
    phone.transport = transport
    phone.register(f"Contact: <{contact}>")
    (binding,) = phone.bench.core.bindings("ann", NowNs(phone.bench.now_ns))
    assert (binding.destination, binding.transport) == (place, transport)
    dial = Dial(
        LegId("out"), binding.contact, "bridge", "bridge.example", binding.destination,
        LocalMedia("192.0.2.10", 40_000), transport=binding.transport,
    )  # fmt: skip
    (sent,) = phone.bench.step(dial)
    assert sent.destination == place
    assert sent.start == f"INVITE {contact} SIP/2.0"


def test_without_users_register_is_not_understood() -> None:
    bench = Bench()
    text = request("REGISTER")
    (answer,) = bench.hear(text)
    assert (answer.status, "REGISTER" in answer.header("Allow")) == (405, False)


# --- INVITE -------------------------------------------------------------------------------


def call(phone: Phone, *lines: str) -> Sent:
    phone.cseq += 1
    text = invite(
        branch=f"i{phone.cseq}", cseq=str(phone.cseq), uri="sip:bridge.example",
        headers="\r\n".join(lines), body=OFFER,
    )  # fmt: skip
    return phone.bench.hear(text)[0]


def test_a_caller_must_prove_who_he_is_when_that_is_required() -> None:
    phone = Phone(require_auth=True)
    answer = call(phone)
    assert answer.status == 401
    found = re.search(r'nonce="([^"]+)"', answer.header("WWW-Authenticate"))
    assert found
    phone.nonce = found[1]
    assert call(phone, phone.proof("INVITE")).status == 100
    (incoming,) = [e for e in phone.bench.events if isinstance(e, CallIncoming)]
    assert incoming.authenticated == "ann"
    (ok,) = phone.bench.step(Accept(phone.bench.leg, MEDIA))
    assert ok.status == 200


def test_a_trunk_is_known_by_its_address() -> None:
    phone = Phone(require_auth=True, trusted=lambda host: host == PEER.host)
    assert call(phone).status == 100
    (incoming,) = [e for e in phone.bench.events if isinstance(e, CallIncoming)]
    assert incoming.authenticated is None


def test_without_the_requirement_nobody_is_asked() -> None:
    phone = Phone()
    assert call(phone).status == 100
