"""Who asks: bearer tokens, each of an account (or of all) and with a role.

Knows tokens by their SHA-256 only. Viewers read, organizers also schedule and control, admins
also switch toll-free, see invoices and set webhooks. What is another account's is not there: 404.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from bridge.web.problems import ApiProblem
from bridge.web_settings import EVERY_ACCOUNT, TokenSettings

ROLES: Final = ("viewer", "organizer", "admin")
"""Each may do what those before it may."""

_bearer = HTTPBearer(auto_error=False, description="A token of the [[token]] tables.")


@dataclass(frozen=True, slots=True)
class Principal:
    """Whose token it was.

    Attributes:
        account: None for an operator, who sees every account.
    """

    account: str | None
    role: str
    name: str

    def may(self, role: str) -> bool:
        """Say whether this one may do what `role` may."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def sees(self, account: str | None) -> bool:
        """Say whether what belongs to an account is there for this one."""
        return self.account is None or self.account == account

    @property
    def by(self) -> str:
        """What facts and notices name as who did it."""
        return f"api:{self.name}"


class Tokens:
    """The tokens in force."""

    def __init__(self, tokens: Iterable[TokenSettings]) -> None:
        self._principals = [
            (token.digest, Principal(_account(token.account), token.role, token.name))
            for token in tokens
        ]

    def principal(self, token: str) -> Principal | None:
        """Return whose token it is; every known one is compared, in equal time."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
        found = None
        for known, principal in self._principals:
            if hmac.compare_digest(known, digest):
                found = principal
        return found


def _account(account: str) -> str | None:
    return None if account == EVERY_ACCOUNT else account


async def _whose(
    request: Request,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Principal:
    tokens: Tokens = request.app.state.tokens
    principal = tokens.principal(given.credentials) if given else None
    if principal is None:
        detail = "the token is not known" if given else "expected Authorization: Bearer <token>"
        raise ApiProblem(401, "unauthorized", detail, {"WWW-Authenticate": "Bearer"})
    return principal


def _needs(role: str) -> Callable[[Principal], Awaitable[Principal]]:
    async def check(principal: Annotated[Principal, Depends(_whose)]) -> Principal:
        if not principal.may(role):
            raise ApiProblem(403, "forbidden", f"only the role {role} may do this")
        return principal

    return check


Viewer = Annotated[Principal, Depends(_needs("viewer"))]
Organizer = Annotated[Principal, Depends(_needs("organizer"))]
Admin = Annotated[Principal, Depends(_needs("admin"))]
