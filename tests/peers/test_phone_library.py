"""The phone library against PJSIP itself, SIPp, and a bridge: what `docs/phone.md` promises."""

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from bridge.errors import InputError, LocalMisuse
from bridge.lab.audibility import measure_tones
from bridge.lab.voice import sine
from bridge.phone import (
    Account,
    AccountConfig,
    Answered,
    Call,
    CallEvent,
    CallRefused,
    Ended,
    Endpoint,
    KeyReceived,
    Media,
    MediaChanged,
    NoLineFree,
    PhoneConfig,
    PhoneTrouble,
    Pool,
    Ringing,
    TransferProgress,
)
from bridge.phone.refuser import Refuser
from bridge.phone.values import Samples
from bridge.units import NS_PER_MS, SAMPLE_RATE_HZ
from tests.peers.needs import need, need_pjsip
from tests.peers.phone_shutdown import OWN_EXIT
from tests.peers.probing import free_port
from tests.peers.sip_wire import HOST

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]

ROOT: Final = Path(__file__).parents[2]
SCENARIO: Final = Path(__file__).parent / "sipp" / "take_transfer.xml"
ANN_HZ: Final = 440
BEN_HZ: Final = 620
SEEDS: Final = 8
AT_ONCE: Final = 3
PATIENCE_S: Final = 20.0
"""For what takes a moment: a machine under load takes longer."""


@pytest.fixture(autouse=True)
def _pjsip_is_here() -> None:
    need_pjsip()


@dataclass
class Pair:
    """Two accounts in one process; `ben` answers when he is told to."""

    endpoint: Endpoint
    ann: Account
    ben: Account

    @property
    def uri(self) -> str:
        return f"sip:ben@{self.endpoint.address}"

    async def come(self) -> Call:
        async with asyncio.timeout(PATIENCE_S):
            async for call in self.ben.calls():
                return call
        raise AssertionError


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with (
        Endpoint() as endpoint,
        endpoint.account("sip:ann@127.0.0.1") as ann,
        endpoint.account("sip:ben@127.0.0.1") as ben,
    ):
        yield Pair(endpoint, ann, ben)


def tone(frequency_hz: int) -> Samples:
    return sine(frequency_hz, SAMPLE_RATE_HZ)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110 - another process, or PJSIP, makes it true
            await asyncio.sleep(0.02)


async def level_dbfs(call: Call, frequency_hz: int) -> float:
    """Return how loud a tone has been in the last 600 ms of what a call hears."""
    now = time.monotonic_ns()
    pcm = (await call.heard(now - 600 * NS_PER_MS, now)).samples.astype(np.float64)
    present = np.ones(len(pcm) // 160, np.bool_)
    return measure_tones(pcm, {"it": frequency_hz}, present)["it"].median_dbfs


async def hears(call: Call, frequency_hz: int) -> None:
    """Wait until a call hears a tone well."""
    async with asyncio.timeout(PATIENCE_S):
        while await level_dbfs(call, frequency_hz) <= -20:  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.1)


async def hears_nothing_of(call: Call, frequency_hz: int) -> None:
    """Wait until a call does not hear a tone any more, and go on listening for as long again."""
    async with asyncio.timeout(PATIENCE_S):
        while await level_dbfs(call, frequency_hz) >= -50:  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.1)
    await asyncio.sleep(0.6)
    assert await level_dbfs(call, frequency_hz) < -50


async def events_of(call: Call) -> list[CallEvent]:
    return [event async for event in call.events()]


# --- one process ------------------------------------------------------------------------------


async def test_two_phones_talk_press_keys_hold_resume_and_hang_up(pair: Pair) -> None:
    async with pair.ann.call(pair.uri) as call, await pair.come() as other:
        assert other.uri == "<sip:ann@127.0.0.1>"
        await other.answer()
        await call.answered()
        await call.play(tone(ANN_HZ), loop=True)
        await other.play(tone(BEN_HZ), loop=True)
        await asyncio.sleep(1.2)
        await hears(call, BEN_HZ)
        await hears(other, ANN_HZ)
        assert await level_dbfs(call, ANN_HZ) < -50  # no echo of oneself
        await call.press("1*#")
        await call.hold()
        assert call.media is Media.HELD
        await until(lambda: other.media is Media.HELD_BY_PEER)
        await call.resume()
        await until(lambda: call.media is other.media is Media.ACTIVE)
        counted = await call.statistics()
        assert counted.codec == "PCMU/8000"
        assert counted.received > 50
        assert counted.loss == 0
    assert await events_of(call) == [
        Ringing(180, "Ringing"),
        MediaChanged(Media.ACTIVE),
        Answered(200),
        MediaChanged(Media.HELD),
        MediaChanged(Media.ACTIVE),
        Ended(200, "OK"),
    ]
    keys = [event.key for event in await events_of(other) if isinstance(event, KeyReceived)]
    assert keys == ["1", "*", "#"]
    assert (await call.statistics()).received >= counted.received  # kept after the end


async def test_mute_says_silence_and_a_clip_is_over_when_play_returns(pair: Pair) -> None:
    async with pair.ann.call(pair.uri) as call, await pair.come() as other:
        await other.answer()
        await call.answered()
        begun = time.monotonic_ns()
        await call.play(tone(ANN_HZ)[:4_000])
        assert (
            time.monotonic_ns() - begun >= 300 * NS_PER_MS
        )  # half a second, less its first frames
        await call.mute()
        await call.play(tone(ANN_HZ), loop=True)
        await asyncio.sleep(1)
        await hears_nothing_of(other, ANN_HZ)
        await call.mute(False)
        await hears(other, ANN_HZ)


async def test_live_audio_goes_in_and_out_as_blocks(pair: Pair) -> None:
    heard: list[Samples] = []
    async with pair.ann.call(pair.uri) as call, await pair.come() as other:
        await other.answer()
        await call.answered()

        async def listen() -> None:
            async for block in other.audio():
                heard.append(block.samples)

        listening = asyncio.create_task(listen())
        voice = tone(ANN_HZ)
        for at in range(0, len(voice), 160):
            await call.write(voice[at : at + 160])
            await asyncio.sleep(0.02)
        await other.hang_up()
        await asyncio.wait_for(listening, PATIENCE_S)  # audio ends with the call
    pcm = np.concatenate(heard).astype(np.float64)
    assert {len(block) for block in heard} == {160}
    assert np.sqrt(np.mean(pcm**2)) > 1_000  # the tone at -16 dBFS is 3,672


async def test_early_media_are_heard_before_the_answer(pair: Pair) -> None:
    async with pair.ann.call(pair.uri) as call, await pair.come() as other:
        await other.answer(183)
        await other.play(tone(BEN_HZ), loop=True)
        await until(lambda: call.media is Media.ACTIVE)
        await hears(call, BEN_HZ)
        assert not any(isinstance(event, Answered) for event in call.so_far)
        await other.answer()
        await call.answered()
    kinds = [type(event) for event in call.so_far]
    assert kinds.index(MediaChanged) < kinds.index(Answered)
    statuses = [event.status for event in call.so_far if isinstance(event, Ringing)]
    assert statuses == [180, 183]


async def test_a_call_is_refused_not_answered_or_given_up(pair: Pair) -> None:
    async with pair.ann.call(pair.uri) as call:
        other = await pair.come()
        await other.hang_up(486)
        with pytest.raises(CallRefused, match="486 Busy Here") as refused:
            await call.answered()
        assert refused.value.status == 486
    async with pair.ann.call(pair.uri) as call:
        other = await pair.come()
        with pytest.raises(TimeoutError):
            await call.answered(timeout_s=0.2)
    assert (await other.over()).status == 487  # left the context: CANCEL
    with pytest.raises(PhoneTrouble, match="not a call: Invalid Request URI"):
        async with pair.ann.call("not a call"):
            pass


async def test_a_phone_that_tells_its_sip_has_each_message_whole_at_both_ends() -> None:
    async with (
        Endpoint(PhoneConfig(tells_sip=True)) as endpoint,
        endpoint.account("sip:ann@127.0.0.1") as ann,
        endpoint.account("sip:ben@127.0.0.1") as ben,
    ):
        pair = Pair(endpoint, ann, ben)
        async with ann.call(pair.uri) as call, await pair.come() as come:
            await come.answer()
            await call.answered()
            await call.hang_up()
            await until(lambda: len(call.sip) == len(come.sip) == 7)
        starts = [one.data.split(b"\r\n")[0].split(b" ")[:2] for one in call.sip]
        words = [one[1] if one[0] == b"SIP/2.0" else one[0] for one in starts]
        assert words == [b"INVITE", b"100", b"180", b"200", b"ACK", b"BYE", b"200"]
        assert [one.sent for one in call.sip] == [True, False, False, False, True, True, False]
        assert [one.sent for one in come.sip] == [not one.sent for one in call.sip]
        assert [one.data for one in come.sip] == [one.data for one in call.sip]
        host, _, port = endpoint.address.rpartition(":")
        assert {one.local for one in call.sip} == {(host, int(port))}
        invite = call.sip[0].data
        head, _, body = invite.partition(b"\r\n\r\n")
        assert int(head.rpartition(b"Content-Length:")[2].split(b"\r")[0]) == len(body)


async def test_orders_out_of_place_say_so(pair: Pair) -> None:
    async with pair.ann.call(pair.uri) as call:
        with pytest.raises(PhoneTrouble, match="not answered: it cannot be held"):
            await call.hold()
        with pytest.raises(InputError, match=r"press: '12x': expected keys of"):
            await call.press("12x")
    with pytest.raises(PhoneTrouble, match="use `async with`"):
        await call.press("1")
    with pytest.raises(LocalMisuse, match="one endpoint a process"):
        async with Endpoint():
            pass


async def test_a_second_endpoint_serves_after_the_first() -> None:
    for codec in ("PCMU", "G722"):
        async with (
            Endpoint(PhoneConfig(codecs=(codec,), rate_hz=16_000)) as endpoint,
            endpoint.account("sip:ann@127.0.0.1") as ann,
            ann.call(f"sip:ann@{endpoint.address}") as call,
        ):
            async for other in ann.calls():
                await other.answer()
                break
            await call.answered()
            assert (await call.statistics()).codec.startswith(codec)
    assert endpoint.address == ""
    with pytest.raises(PhoneTrouble, match="the endpoint is closed"):
        await ann.call("sip:ann@127.0.0.1").__aenter__()
    with pytest.raises(InputError, match=r"codecs: 'G729': expected one of G722, GSM, L16, PCMA"):
        async with Endpoint(PhoneConfig(codecs=("G729",))):
            pass


# --- more than one process --------------------------------------------------------------------


async def test_the_build_says_how_many_calls_a_process_may_have(pair: Pair) -> None:
    cap = await pair.endpoint.capacity()
    assert cap == 4  # the wheel's PJSUA_MAX_CALLS; a build with more needs fewer processes
    async with AsyncExitStack() as stack:
        for _ in range(cap // 2):  # each is two calls: both ends live here
            await stack.enter_async_context(pair.ann.call(pair.uri))
            await stack.enter_async_context(await pair.come())
        with pytest.raises(NoLineFree, match="4 calls are all that this build allows"):
            await stack.enter_async_context(pair.ann.call(pair.uri))
    assert await pair.endpoint.capacity() == 4  # all are let go again


async def test_a_pool_makes_more_calls_than_a_process_may() -> None:
    async with (
        Pool(processes_max=2) as pool,
        Endpoint() as endpoint,
        endpoint.account("sip:ben@127.0.0.1") as ben,
        pool.account("sip:ann@127.0.0.1") as ann,
    ):
        assert await pool.capacity() == 8
        uri = f"sip:ben@{endpoint.address}"

        async def answer() -> None:
            async for other in ben.calls():
                await other.play(tone(BEN_HZ), loop=True)
                await other.answer()

        answering = asyncio.create_task(answer())
        calls = [ann.call(uri) for _ in range(6)]  # four are answered, the fifth is busy
        async with AsyncExitStack() as stack:
            for call in calls:
                await stack.enter_async_context(call)
            ends = [await _outcome(call) for call in calls]
            assert ends == ["answered"] * 4 + ["486"] * 2
            for call in calls[:4]:
                await hears(call, BEN_HZ)
        answering.cancel()
        with Refuser(HOST) as nobody:  # who does not even refuse: all of them ring
            async with AsyncExitStack() as stack:
                for _ in range(8):
                    await stack.enter_async_context(ann.call(nobody.uri))
                with pytest.raises(NoLineFree, match="2 processes of 4 phones each"):
                    await stack.enter_async_context(ann.call(nobody.uri))
    assert pool.ended == [0, 0]


async def _outcome(call: Call) -> str:
    try:
        await call.answered(PATIENCE_S)
    except CallRefused as refused:
        return str(refused.status)
    return "answered"


async def test_a_process_that_dies_ends_its_calls_and_no_others(pair: Pair) -> None:
    async with Pool() as pool, pool.account("sip:pat@127.0.0.1") as pat:
        async with pat.call(pair.uri) as call, await pair.come() as other:
            await other.answer()
            await call.answered()
            os.kill(pool.processes[0], signal.SIGKILL)
            assert await call.over() == Ended(0, "the phone's process has ended")
            assert other.ended is None
        async with pat.call(pair.uri), await pair.come():  # in another process
            pass
    assert sorted(pool.ended) == [-signal.SIGKILL, 0]


# --- the end in every order -------------------------------------------------------------------


async def test_whatever_order_things_end_in_the_process_ends_as_python_does() -> None:
    """Each seed is a program that closes, cancels, raises, forgets and exits as it likes."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def end(seed: int) -> tuple[int, int | None, bytes]:
        async with gate:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.peers.phone_shutdown", str(seed),
                stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            _, said = await asyncio.wait_for(process.communicate(), 40)
            return seed, process.returncode, said

    for seed, code, said in await asyncio.gather(*(end(seed) for seed in range(SEEDS))):
        assert code in (0, OWN_EXIT), (seed, code, said.decode())
        assert b"never retrieved" not in said, (seed, said.decode())


# --- transfer ---------------------------------------------------------------------------------


async def test_a_transfer_that_sipp_accepts_gets_through(pair: Pair, tmp_path: Path) -> None:
    need("sipp")
    port = free_port()
    sipp = await asyncio.create_subprocess_exec(
        "sipp", "-sf", str(SCENARIO), "-i", HOST, "-p", str(port), "-m", "1", "-nostdin",
        "-timeout", "20s", "-timeout_error", cwd=tmp_path, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with pair.ann.call(f"sip:bob@{HOST}:{port}") as call:
            await call.answered()
            await call.transfer("sip:carol@example.org")
        assert await asyncio.wait_for(sipp.wait(), 20) == 0
    finally:
        if sipp.returncode is None:
            sipp.kill()
            await sipp.wait()
    told = [event for event in await events_of(call) if isinstance(event, TransferProgress)]
    assert [(event.status, event.final) for event in told][-2:] == [(180, False), (200, True)]


async def test_a_transfer_that_is_declined_says_603_and_the_call_goes_on(pair: Pair) -> None:
    async with pair.ann.call(pair.uri) as call, await pair.come() as other:
        await other.answer()
        await call.answered()
        with pytest.raises(CallRefused, match="transfer: 603 Decline"):
            await call.transfer("sip:carol@example.org")
        assert call.ended is None


# --- without the wheel ------------------------------------------------------------------------


async def test_without_the_wheel_a_clear_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pjsua2", None)
    for phones in (Endpoint(), Pool()):
        with pytest.raises(InputError, match=r"pjsua2-python is not installed: pip install"):
            async with phones:
                pass
    monkeypatch.setattr("bridge.phone.library.LAST_PYTHON", (3, 0))
    with pytest.raises(InputError, match=r"no wheel for this Python, the last one is for 3\.0"):
        async with Endpoint():
            pass


def test_accounts_say_who_proves_himself_and_how_he_sends() -> None:
    config = AccountConfig('"Ann" <sip:ann@example.org>', password="secret", tcp=True)
    assert config.digest_user == "ann"
    assert config.over_its_transport("sip:b@c") == "sip:b@c;transport=tcp"
    assert "secret" not in repr(config)


# --- the manual -------------------------------------------------------------------------------


async def test_the_examples_of_the_manual_run(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "phone.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(examples) == 2
    for number, example in enumerate(examples):
        path = tmp_path / f"example_{number}.py"
        path.write_text(example)
        process = await asyncio.create_subprocess_exec(sys.executable, path, cwd=ROOT)
        assert await asyncio.wait_for(process.wait(), 30) == 0, example
