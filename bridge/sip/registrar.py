"""The registrar (RFC 3261 §10.3): which phones a user has, and until when; in memory only.

Knows users by name and where their phones were last heard; it knows no conference, and whoever
calls a user asks it for the bindings.
"""

from dataclasses import dataclass, field
from typing import Final

from bridge.errors import SipRemoteError
from bridge.sip.api import Address, Binding
from bridge.sip.compose import Pairs, is_port
from bridge.sip.desk import ANY_PORT_OF_SIP, Flow
from bridge.sip.headers import (
    NameAddr,
    literal_ip,
    parse_name_addr,
    parse_number,
    parse_uri,
    split_list,
)
from bridge.sip.messages import Request
from bridge.units import NS_PER_S, NowNs

EXPIRES_S: Final = 3_600
"""What a phone gets that names no time, or names one badly (RFC 3261 §10.2.1.1)."""

EXPIRES_S_MAX: Final = 7_200
EXPIRES_S_MIN: Final = 60
BINDINGS_MAX: Final = 10
"""Phones of one user."""

_SECONDS_MAX: Final = 2**32 - 1


class BadRegistration(SipRemoteError):
    """A REGISTER that changes nothing; it is counted under `counted`, `headers` are answered."""

    code = "bad_registration"

    def __init__(self, status: int, counted: str, reason: str, headers: Pairs = ()) -> None:
        super().__init__(status, reason)
        self.counted = counted
        self.headers = headers


@dataclass(frozen=True, slots=True)
class _Known:
    """One binding and the request that last changed it."""

    binding: Binding
    call_id: str
    cseq: int


@dataclass(slots=True)
class Registrar:
    """The bindings of every user, by contact."""

    _users: dict[str, dict[str, _Known]] = field(default_factory=dict)

    def bindings(self, user: str, now_ns: NowNs) -> tuple[Binding, ...]:
        """Return where a user can be called now, the phone heard of last first."""
        phones = self._users.get(user, {})
        for contact in [c for c, known in phones.items() if known.binding.expires_ns <= now_ns]:
            del phones[contact]
        return tuple(known.binding for known in reversed(phones.values()))

    def register(self, user: str, request: Request, flow: Flow, now_ns: NowNs) -> Pairs:
        """Carry out a REGISTER of a user who has proven to be him; return what the 200 says.

        Raises:
            BadRegistration: nothing was changed.
        """
        self.bindings(user, now_ns)
        phones = dict(self._users.get(user, {}))
        contacts = _contacts(request)
        if contacts == ["*"]:
            _remove_all(request, phones)
        else:
            for contact in contacts:
                _apply(user, _read(contact), request, flow, now_ns, phones)
        if len(phones) > BINDINGS_MAX:
            raise BadRegistration(403, "too_many_bindings", "Too Many Contacts")
        self._users[user] = phones
        return tuple(
            ("Contact", f"<{b.contact}>;expires={-((now_ns - b.expires_ns) // NS_PER_S)}")
            for b in self.bindings(user, now_ns)
        )


def _contacts(request: Request) -> list[str]:
    try:
        return [c for line in request.headers.get("contact", ()) for c in split_list(line) if c]
    except ValueError:
        raise BadRegistration(400, "malformed_contact", "Malformed Contact") from None


def _read(contact: str) -> NameAddr:
    try:
        address = parse_name_addr(contact)
        scheme = parse_uri(address.uri).scheme
    except ValueError:
        raise BadRegistration(400, "malformed_contact", "Malformed Contact") from None
    if scheme not in ("sip", "sips"):
        raise BadRegistration(400, "malformed_contact", "Contact Is No SIP URI")
    return address


def _remove_all(request: Request, phones: dict[str, _Known]) -> None:
    """Take `Contact: *`, which goes with `Expires: 0` and nothing else."""
    if (request.first("expires") or "").strip() != "0":
        raise BadRegistration(400, "wildcard_contact", "Wildcard Needs Expires 0")
    for known in phones.values():
        _check_order(known, request)
    phones.clear()


def _apply(
    user: str,
    contact: NameAddr,
    request: Request,
    flow: Flow,
    now_ns: NowNs,
    phones: dict[str, _Known],
) -> None:
    """Add, refresh or remove one binding."""
    expires_s = _expires_s(contact, request)
    known = phones.pop(contact.uri, None)
    if known is not None:
        _check_order(known, request)
    if expires_s == 0:
        return
    if expires_s < EXPIRES_S_MIN:
        raise BadRegistration(
            423, "interval_too_brief", "Interval Too Brief", (("Min-Expires", str(EXPIRES_S_MIN)),)
        )
    expires_ns = NowNs(now_ns + min(expires_s, EXPIRES_S_MAX) * NS_PER_S)
    binding = Binding(user, contact.uri, _reached_at(contact.uri, flow), flow.transport, expires_ns)
    phones[contact.uri] = _Known(binding, request.call_id, request.cseq)


def _check_order(known: _Known, request: Request) -> None:
    """Refuse what is older than what was last done (RFC 3261 §10.3, item 7)."""
    if known.call_id == request.call_id and request.cseq <= known.cseq:
        raise BadRegistration(500, "cseq_out_of_order", "CSeq Out of Order")


def _expires_s(contact: NameAddr, request: Request) -> int:
    text = contact.params.get("expires") or request.first("expires") or ""
    try:
        return parse_number(text.strip(), _SECONDS_MAX)
    except ValueError:
        return EXPIRES_S


def _reached_at(contact: str, flow: Flow) -> Address:
    """Return where calls for a phone go: to where it was heard, which alone is proven.

    Only the port is taken from its Contact, when that names the same host: a phone without NAT
    may send from another port than it listens on.
    """
    uri = parse_uri(contact)
    source = flow.destination
    port = uri.port or ANY_PORT_OF_SIP
    if flow.reliable or literal_ip(uri.host) != source.host or not is_port(port):
        return source
    return Address(source.host, port)
