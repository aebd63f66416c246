"""Settings of SIP and RTP: where they are heard, what others are told of that, who may register.

Knows names and what is allowed; opens nothing.
"""

import ipaddress
import os
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from bridge.sip.api import Address, SipUser

PORT_MAX: Final = 65_535
WORKERS_MAX: Final = 64
"""Media workers of one bridge."""

Seconds = Annotated[float, Field(ge=0, le=86_400 * 31, strict=False)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def ip_address(value: str) -> str:
    """Return an IPv4 or IPv6 address in its usual form."""
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("an IPv4 or IPv6 address") from None


def _ip_or_empty(value: str) -> str:
    return ip_address(value) if value else value


def _split(value: str) -> Address:
    """Return host and port of a listening address; a part that is not written is "" or 0."""
    if value.count(":") == 1 or "]:" in value:
        host, _, port = value.rpartition(":")
    else:
        host, port = value, "0"
    host = host.strip("[]")
    if value:
        ipaddress.ip_address(host)
    if not (port.isascii() and port.isdigit() and int(port) <= PORT_MAX):
        raise ValueError
    return Address(host, int(port))


def _listen(value: str) -> str:
    try:
        if value.count(":") != 1 and "]:" not in value:
            raise ValueError
        _split(value)
    except ValueError:
        raise ValueError("address:port such as 127.0.0.1:5060 or [::1]:5060") from None
    return value


def _listen_or_off(value: str) -> str:
    return _listen(value) if value else value


def _advertised(value: str) -> str:
    try:
        _split(value)
    except ValueError:
        raise ValueError("an address such as 203.0.113.5 or 203.0.113.5:5060") from None
    return value


class SipSettings(_Table):
    """Where SIP is heard, what others are told of that, and who must say who he is."""

    listen: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:5060"
    advertise: Annotated[str, AfterValidator(_advertised)] = ""
    tcp: bool = False
    tls: Annotated[str, AfterValidator(_listen_or_off)] = ""
    tls_certificate: str = ""
    tls_key: str = ""
    allow_anonymous: bool = True
    calls_max: Annotated[int, Field(ge=1, le=100_000)] = 10_000
    realm: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9._ -]{1,64}$", description="1 to 64 letters, digits, . _ -")
    ] = "tollbridge"
    digest: Annotated[list[Literal["MD5", "SHA-256"]], Field(min_length=1)] = ["MD5"]
    require_auth: bool = False

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.tls and not (self.tls_certificate and self.tls_key):
            raise ValueError("tls_certificate and tls_key, a PEM file each, as tls is set")
        if not self.tls and (self.tls_certificate or self.tls_key):
            raise ValueError('tls = "address:port", as its certificate or key is set')
        return self

    @property
    def address(self) -> Address:
        """The address to bind."""
        return _split(self.listen)

    @property
    def tls_address(self) -> Address:
        """The address to bind for TLS, when `tls` is set."""
        return _split(self.tls)

    @property
    def advertised(self) -> Address:
        """The address that others are told; no host or port 0 means the one that is bound."""
        return _split(self.advertise)


def _hex(digits: int) -> Any:
    return Field(
        default="",
        pattern=rf"^([0-9A-Fa-f]{{{digits}}})?$",
        description=f"{digits} hexadecimal digits",
    )


class UserSettings(_Table):
    """Somebody whose softphone may register: a password, or hashes of name, realm and it."""

    name: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9_.+-]{1,64}$", description="1 to 64 letters, digits, _ . + and -"
        ),
    ]
    password: SecretStr = SecretStr("")
    ha1_md5: Annotated[str, _hex(32)]
    ha1_sha256: Annotated[str, _hex(64)]

    @model_validator(mode="after")
    def _provable(self) -> Self:
        if not (self.password.get_secret_value() or self.ha1_md5 or self.ha1_sha256):
            raise ValueError("password: one, or ha1_md5 or ha1_sha256")
        return self

    def sip_user(self) -> SipUser:
        """Return the user as the SIP core takes him."""
        return SipUser(self.name, self.password.get_secret_value(), self.ha1_md5, self.ha1_sha256)


def _codecs(value: list[str]) -> list[str]:
    if len(set(value)) < len(value) or not {"PCMU", "PCMA"} & set(value):
        raise ValueError("each codec once, and PCMU or PCMA among them")
    return value


class RtpSettings(_Table):
    """Where RTP is received, in which codecs, and when silence means a leg is dead (D12)."""

    address: Annotated[str, AfterValidator(ip_address)] = "127.0.0.1"
    advertise: Annotated[str, AfterValidator(_ip_or_empty)] = ""
    port_range: Annotated[
        list[Annotated[int, Field(ge=1_024, le=PORT_MAX)]], Field(min_length=2, max_length=2)
    ] = [40_000, 44_999]
    timeout_s: Annotated[Seconds, Field(gt=0)] = 30
    workers: Annotated[int, Field(ge=0, le=WORKERS_MAX)] = 1
    worker_legs: Annotated[int, Field(ge=1, le=4_096)] = 4_000
    codecs: Annotated[
        list[Literal["opus", "G722", "L16", "PCMU", "PCMA"]], AfterValidator(_codecs)
    ] = ["opus", "G722", "L16", "PCMU", "PCMA"]
    automatic_gain: bool = False
    noise_gate: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        first, last = self.port_range
        if last - first < 1:
            raise ValueError("port_range: two ports, the lower one first, at least two apart")
        if not self.pairs_each:
            count = self.workers_count
            raise ValueError(f"port_range: two ports for each of the {count} workers, at least")
        return self

    @property
    def workers_count(self) -> int:
        """Media workers to start; 0 is one for each core but one, if there are ports for them."""
        cores = len(os.sched_getaffinity(0))
        return self.workers or max(min(cores - 1, WORKERS_MAX, self._pairs), 1)

    @property
    def _pairs(self) -> int:
        first, last = self.port_range
        return (last - first - first % 2 + 1) // 2

    @property
    def pairs_each(self) -> int:
        """Port pairs, RTP and RTCP, that each worker gets."""
        return self._pairs // self.workers_count

    def ports_of(self, worker: int) -> tuple[int, int]:
        """Return a worker's part of the range, both ends included.

        >>> RtpSettings(port_range=[4_001, 4_010], workers=2).ports_of(1)
        (4006, 4009)
        """
        first, last = self.port_range
        if self.workers_count == 1:
            return first, last
        start = first + first % 2 + 2 * worker * self.pairs_each
        return start, start + 2 * self.pairs_each - 1
