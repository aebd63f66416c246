"""Digest authentication (RFC 7616, RFC 8760) for the registrar and for callers; sends nothing.

Nonces carry their own proof and age, so a flood of requests without credentials fills no table;
what is remembered is how often each nonce that was used well has been counted (`nc`).
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from bridge.sip.api import SipConfig, SipUser
from bridge.sip.compose import Pairs, quoted
from bridge.sip.headers import parse_params, parse_uri, split_list
from bridge.sip.messages import Request
from bridge.units import NS_PER_S, NowNs

NONCE_LIFE_S: Final = 300
"""How long a nonce may be used; then the phone is given a new one (`stale`)."""

NONCES_MAX: Final = 20_000
"""Used nonces whose counts are kept; beyond it the oldest ones are stale."""

ALGORITHMS: Final[Mapping[str, str]] = {"SHA-256": "sha256", "MD5": "md5"}
"""What is understood, by the names of hashlib."""

_COUNT_DIGITS: Final = 8
_MAC_CHARS: Final = 32
_NEEDED: Final = ("username", "realm", "nonce", "uri", "response")


class Outcome(Enum):
    """What came of looking at a request's credentials."""

    VALID = auto()
    MISSING = auto()
    WRONG = auto()
    STALE = auto()
    MALFORMED = auto()


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome, and whose credentials they are when they are valid."""

    outcome: Outcome
    user: str = ""


class Digest:
    """Challenges and checks for one realm."""

    def __init__(self, config: SipConfig, ids: Callable[[], str]) -> None:
        """Take the users; `ids` makes the key of the nonces and their salts."""
        self._users = {user.name: user for user in config.users}
        self._realm = config.realm
        self._offered = config.digests
        self._ids = ids
        self._key = "".join(ids() for _ in range(4 if config.users else 0)).encode()
        self._counts: dict[str, int] = {}
        self._floor_s = 0

    # --- challenges -----------------------------------------------------------------------

    def challenges(self, now_ns: NowNs, *, stale: bool) -> Pairs:
        """Return one WWW-Authenticate header for each algorithm that a user can prove himself by.

        The preferred one is first (RFC 8760 §2.4). They share a fresh nonce.
        """
        issued_s = now_ns // NS_PER_S
        salt = self._ids()
        nonce = f"{issued_s:x}.{salt}.{self._mac(issued_s, salt)}"
        tail = ", stale=true" if stale else ""
        return tuple(
            (
                "WWW-Authenticate",
                f"Digest realm={quoted(self._realm)}, nonce={quoted(nonce)}, "
                f'algorithm={name}, qop="auth"{tail}',
            )
            for name in self._offered
            if any(self._ha1(user, name) for user in self._users.values())
        )

    def _mac(self, issued_s: int, salt: str) -> str:
        text = f"{issued_s:x}.{salt}".encode("utf-8", "surrogateescape")
        return hmac.new(self._key, text, "sha256").hexdigest()[:_MAC_CHARS]

    # --- checks ---------------------------------------------------------------------------

    def check(self, request: Request, now_ns: NowNs) -> Checked:
        """Look at the credentials of a request."""
        try:
            params = self._credentials(request)
        except ValueError:
            return Checked(Outcome.MALFORMED)
        if params is None:
            return Checked(Outcome.MISSING)
        if not self._proves(request.method, params):
            return Checked(Outcome.WRONG)
        if not _is_for(params["uri"], request):
            return Checked(Outcome.MALFORMED)
        if not self._fresh(params["nonce"], int(params["nc"], 16), now_ns):
            return Checked(Outcome.STALE)
        return Checked(Outcome.VALID, params["username"])

    def _credentials(self, request: Request) -> dict[str, str] | None:
        """Return the parameters meant for our realm, None when there are none."""
        for line in request.headers.get("authorization", ()):
            scheme, _, rest = line.partition(" ")
            if scheme.lower() != "digest":
                continue
            params = _params(rest)
            if params.get("realm") != self._realm:
                continue
            if not all(params.get(name) for name in _NEEDED):
                raise ValueError("credentials without what they need")
            if params.get("qop") == "auth":
                count = params.get("nc", "")
                if len(count) != _COUNT_DIGITS or not params.get("cnonce"):
                    raise ValueError("credentials without count")
                int(count, 16)
            return params
        return None

    def _proves(self, method: str, params: Mapping[str, str]) -> bool:
        algorithm = params.get("algorithm", "MD5").upper()
        user = self._users.get(params["username"])
        ha1 = self._ha1(user, algorithm) if user and algorithm in self._offered else ""
        if not ha1 or params.get("qop") != "auth":
            return False
        ha2 = _hash(algorithm, f"{method}:{params['uri']}")
        middle = f"{params['nonce']}:{params['nc']}:{params['cnonce']}:auth"
        expected = _hash(algorithm, f"{ha1}:{middle}:{ha2}")
        given = params["response"].lower().encode("utf-8", "surrogateescape")
        return hmac.compare_digest(expected.encode(), given)

    def _ha1(self, user: SipUser, algorithm: str) -> str:
        known = user.ha1_md5 if algorithm == "MD5" else user.ha1_sha256
        if known or not user.password:
            return known.lower()
        return _hash(algorithm, f"{user.name}:{self._realm}:{user.password}")

    def _fresh(self, nonce: str, count: int, now_ns: NowNs) -> bool:
        """Take one use of a nonce: ours, not too old, and counted up (RFC 7616 §3.4.6)."""
        now_s = now_ns // NS_PER_S
        issued, _, rest = nonce.partition(".")
        salt, _, mac = rest.partition(".")
        try:
            issued_s = int(issued, 16)
        except ValueError:
            return False
        proof = self._mac(issued_s, salt).encode()
        if not hmac.compare_digest(proof, mac.encode("utf-8", "surrogateescape")):
            return False
        if now_s - issued_s > NONCE_LIFE_S or issued_s < self._floor_s:
            self._counts.pop(nonce, None)
            return False
        if count <= self._counts.get(nonce, 0):
            return False
        self._counts[nonce] = count
        self._limit()
        return True

    def _limit(self) -> None:
        """Forget the oldest counts; what they counted is stale from now on."""
        while len(self._counts) > NONCES_MAX:
            oldest = next(iter(self._counts))
            del self._counts[oldest]
            self._floor_s = max(self._floor_s, int(oldest.partition(".")[0], 16) + 1)


def _params(text: str) -> dict[str, str]:
    params: dict[str, str] = {}
    for part in split_list(text):
        for name, value in parse_params(part).items():
            params.setdefault(name, value or "")
    return params


def _hash(algorithm: str, text: str) -> str:
    name = ALGORITHMS[algorithm]
    return hashlib.new(name, text.encode("utf-8", "surrogateescape")).hexdigest()


def _is_for(uri: str, request: Request) -> bool:
    """Whether credentials were made for this request; a proxy may change its parameters."""
    try:
        named = parse_uri(uri)
    except ValueError:
        return False
    target = request.target
    return (named.user, named.host.lower()) == (target.user, target.host.lower())
