"""Settings of the web side: where it listens, who may ask, how mail leaves.

Knows names and what is allowed; opens nothing. Secrets are `SecretStr`, so no print shows them.
"""

import hashlib
import ipaddress
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)

EVERY_ACCOUNT: Final = "*"
"""The account of an operator's token: all of them."""

TOKEN_CHARS_MIN: Final = 16
PORT_MAX: Final = 65_535


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _listen_or_empty(value: str) -> str:
    host, _, port = value.rpartition(":")
    try:
        if value:
            ipaddress.ip_address(host.strip("[]"))
            if not port.isascii() or not 0 <= int(port) <= PORT_MAX:
                raise ValueError
    except ValueError:
        raise ValueError('address:port such as 127.0.0.1:8080, or "" for no web side') from None
    return value


class WebSettings(_Table):
    """REST, events and the page."""

    listen: Annotated[str, AfterValidator(_listen_or_empty)] = "127.0.0.1:8080"
    public_url: Annotated[
        str, Field(pattern=r"^(https?://[^\s?#]+[^\s?#/])?$", description="http(s)://host[/path]")
    ] = ""
    code_digits: Annotated[int, Field(ge=6, le=20)] = 8
    pin_digits: Annotated[int, Field(ge=6, le=20)] = 6

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on; only when `listen` is not empty."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


class TokenSettings(_Table):
    """One bearer token: whose it is, and what it may do.

    The token itself or its SHA-256 in hexadecimal; with the second no secret is in the file.
    """

    token: SecretStr | None = None
    token_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    account: Annotated[str, Field(pattern=r"^([A-Za-z0-9_-]{1,64}|\*)$")]
    role: Literal["admin", "organizer", "viewer"]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.@-]{1,64}$")] = "api"

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.token is None) == (self.token_sha256 is None):
            raise ValueError("expected either token or token_sha256")
        if self.token is not None and len(self.token.get_secret_value()) < TOKEN_CHARS_MIN:
            raise ValueError(f"expected a token of at least {TOKEN_CHARS_MIN} characters")
        return self

    @property
    def digest(self) -> str:
        """The SHA-256 of the token, in hexadecimal."""
        if self.token_sha256 is not None:
            return self.token_sha256
        assert self.token is not None, "one of the two is there"
        return hashlib.sha256(self.token.get_secret_value().encode()).hexdigest()


class SmtpSettings(_Table):
    """The mail server that takes invitations; none when `host` is empty."""

    host: str = ""
    port: Annotated[int, Field(ge=1, le=PORT_MAX)] = 587
    sender: Annotated[str, Field(pattern=r"^[^@\s<>]+@[^@\s<>]+$")] = "bridge@localhost"
    security: Literal["none", "starttls", "tls"] = "starttls"
    username: str = ""
    password: SecretStr = SecretStr("")
    timeout_s: Annotated[float, Field(gt=0, le=300, strict=False)] = 20
