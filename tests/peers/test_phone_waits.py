"""What is closed while an order waits: the order says so, and PJSIP does not abort."""

import asyncio
import sys

import pytest

from bridge.phone import PhoneConfig, PhoneTrouble, Pool
from tests.peers.needs import need_pjsip
from tests.peers.phone_waits import PLACES, Deaf, leave_no_place
from tests.peers.sip_wire import HOST

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]


@pytest.fixture(autouse=True)
def _pjsip_is_here() -> None:
    need_pjsip()


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("dial", "PhoneTrouble: dial: the endpoint is closed"),
        ("dial, close cancelled", "PhoneTrouble: dial: the endpoint is closed"),
        ("dial, account closed", "PhoneTrouble: the account is closed"),
        ("capacity", "PhoneTrouble: capacity: the endpoint is closed"),
        ("capacity, close cancelled", "PhoneTrouble: capacity: the endpoint is closed"),
        ("capacity, not refused", "str: counted 1"),
    ],
)
async def test_an_order_that_waits_ends_before_pjsip_does(case: str, said: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-X", "faulthandler", "-m", "tests.peers.phone_waits", case,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 40)
    assert (process.returncode, out.decode().strip()) == (0, said), err.decode()


async def test_a_process_of_a_pool_ends_well_while_a_call_waits_for_its_place() -> None:
    async with Pool(PhoneConfig(calls_max=PLACES)) as pool:
        account = pool.account(f"sip:ann@{HOST}")
        await account.__aenter__()
        deaf = Deaf()
        uri = await deaf.open()
        await leave_no_place(account, uri)
        waiting = asyncio.ensure_future(account.call(uri).__aenter__())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await pool.close()
        with pytest.raises(PhoneTrouble, match="the pool is closed"):
            await waiting
        deaf.close()
    assert pool.ended == [0]
