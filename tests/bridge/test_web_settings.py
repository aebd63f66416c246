"""[web], [[token]] and [smtp]: what is allowed, what is named when it is not, what is hidden."""

import hashlib
from typing import Any

import pytest

from bridge.config import Settings, SettingsError, load_settings, parse_settings
from bridge.doctor import _in_force
from bridge.web.auth import Tokens

SECRET = "a-token-of-24-characters"
ACCOUNT = {"id": "acme", "contract": "c1"}


def settings(**tables: Any) -> Settings:
    base = {"contract": [{"id": "c1", "currency": "USD"}], "account": [ACCOUNT]}
    return parse_settings({**base, **tables})


def token(**fields: Any) -> dict[str, Any]:
    return {"token": SECRET, "account": "acme", "role": "viewer"} | fields


def test_the_web_side_is_on_when_an_address_or_a_token_is_given() -> None:
    assert not settings().web_listens
    assert settings(web={"listen": "127.0.0.1:8080"}).web_listens
    assert settings(token=[token()]).web_listens
    assert not settings(web={"listen": ""}, token=[token()]).web_listens
    assert settings(web={"listen": "[::1]:80"}).web.address == ("::1", 80)


@pytest.mark.parametrize(
    ("tables", "text"),
    [
        ({"web": {"listen": "nowhere"}}, "web.listen: 'nowhere': expected address:port"),
        ({"web": {"code_digits": 3}}, "web.code_digits: 3: expected"),
        ({"web": {"public_url": "ftp://x"}}, "web.public_url: 'ftp://x': expected http"),
        ({"token": [token(account="nobody")]}, "token[0].account: 'nobody': expected the id"),
        ({"token": [token(role="king")]}, "token[0].role"),
        ({"token": [token(token="short")]}, "at least 16 characters"),
        ({"token": [token(token_sha256="0" * 64)]}, "either token or token_sha256"),
        ({"smtp": {"security": "ssl"}}, "smtp.security: 'ssl': expected"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(tables: Any, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(**tables)
    assert text in str(caught.value)


def test_no_fault_and_no_print_shows_a_token_or_a_password() -> None:
    wrong = [token(role="king"), token(token="short-but-secret"[:9]), token(colour="red")]
    for one in wrong:
        with pytest.raises(SettingsError) as caught:
            settings(token=[one])
        assert one["token"] not in str(caught.value)
    shown = "\n".join(_in_force(settings(token=[token()], smtp={"password": "very-secret"})))
    assert SECRET not in shown
    assert "very-secret" not in shown


def test_secrets_may_come_from_the_environment_and_as_a_digest() -> None:
    given = load_settings(None, environment={"TOLLBRIDGE_SMTP_PASSWORD": '"very-secret"'})
    assert given.smtp.password.get_secret_value() == "very-secret"
    digest = hashlib.sha256(SECRET.encode()).hexdigest()
    by_digest = {"token_sha256": digest, "account": "*", "role": "admin"}
    tokens = Tokens(settings(token=[by_digest]).token)
    principal = tokens.principal(SECRET)
    assert principal is not None
    assert (principal.account, principal.role) == (None, "admin")
    assert tokens.principal(digest) is None
