"""Settings of SIP and RTP: where they are heard, what others are told of that, who may register.

Knows names and what is allowed; opens nothing.
"""

import ipaddress
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from bridge.sip.api import Address

PORT_MAX: Final = 65_535

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
        if ":" not in value.rpartition("]")[2]:
            raise ValueError
        _split(value)
    except ValueError:
        raise ValueError("address:port such as 127.0.0.1:5060 or [::1]:5060") from None
    return value


def _advertised(value: str) -> str:
    try:
        _split(value)
    except ValueError:
        raise ValueError("an address such as 203.0.113.5 or 203.0.113.5:5060") from None
    return value


class SipSettings(_Table):
    """Where SIP is heard, what others are told of that, and who may be anonymous."""

    listen: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:5060"
    advertise: Annotated[str, AfterValidator(_advertised)] = ""
    tcp: bool = False
    allow_anonymous: bool = True
    calls_max: Annotated[int, Field(ge=1, le=100_000)] = 10_000

    @property
    def address(self) -> Address:
        """The address to bind."""
        return _split(self.listen)

    @property
    def advertised(self) -> Address:
        """The address that others are told; no host or port 0 means the one that is bound."""
        return _split(self.advertise)


class RtpSettings(_Table):
    """Where RTP is received, and when silence means a leg is dead (D12)."""

    address: Annotated[str, AfterValidator(ip_address)] = "127.0.0.1"
    advertise: Annotated[str, AfterValidator(_ip_or_empty)] = ""
    port_range: Annotated[
        list[Annotated[int, Field(ge=1_024, le=PORT_MAX)]], Field(min_length=2, max_length=2)
    ] = [40_000, 44_999]
    timeout_s: Annotated[Seconds, Field(gt=0)] = 30

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        first, last = self.port_range
        if last - first < 1:
            raise ValueError("port_range: two ports, the lower one first, at least two apart")
        return self
