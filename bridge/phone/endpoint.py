"""PJSIP phones in this process: as many as the build of PJSIP allows at a time, which is four."""

from types import TracebackType
from typing import Self

from bridge.phone.account import Account
from bridge.phone.call import Line
from bridge.phone.driver import Driver
from bridge.phone.values import AccountConfig, PhoneConfig


class Endpoint:
    """PJSIP, from `async with` to its end; one at a time in a process.

        async with Endpoint() as endpoint, endpoint.account("sip:ann@127.0.0.1") as account:
            async with account.call("sip:482913@127.0.0.1:5060") as call:
                await call.answered()

    Raises:
        InputError: the wheel `pjsua2-python` is missing, or the configuration is wrong.
    """

    def __init__(self, config: PhoneConfig | None = None) -> None:
        self._driver = Driver(config or PhoneConfig())

    async def __aenter__(self) -> Self:
        """Start PJSIP."""
        await self._driver.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up, unregister, take PJSIP down."""
        await self.close()

    @property
    def address(self) -> str:
        """Where SIP is heard over UDP, `host:port`; "" when it is closed."""
        return self._driver.address

    @property
    def version(self) -> str:
        """PJSIP's version, while it runs."""
        return self._driver.version

    async def close(self) -> None:
        """Do what leaving the context does; more than once does no harm."""
        await self._driver.close()

    def account(self, account: str | AccountConfig) -> Account:
        """Return an account, by its URI alone or with all its settings; open by `async with`."""
        config = AccountConfig(account) if isinstance(account, str) else account
        return Account(config, self._line, self._line)

    async def capacity(self) -> int:
        """Return how many calls at a time the installed build of PJSIP allows: tried, not read."""
        answer = await self._driver.order("capacity")
        assert isinstance(answer, int)
        return answer

    async def _line(self) -> Line:
        return self._driver
