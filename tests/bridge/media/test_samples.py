"""The loops over samples: compiled, with numpy, and one at a time give the same to the bit."""

import ctypes.util
import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.media import arrivals, g711, mix, samples, samples_c, samples_numpy, steady
from bridge.media.groups import MixBuffers, arrange
from bridge.media.shape import FRAME, PAYLOAD_AT, PCMA, PCMU, ROW_BYTES
from tests.bridge.media.compiling import compiled
from tests.bridge.media.guard import guarded, unharmed
from tests.oracle import g711_scalar, mix_scalar

# --- decode -------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [None, 0.0, 0.4, 1.0])
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("count", [0, 1, 3, 9, 700])
def test_payloads_are_decoded_alike(
    c: samples_c.Loops, share: float | None, together: bool, count: int
) -> None:
    rng = np.random.default_rng(count)
    data = rng.integers(0, 256, (count + 5, ROW_BYTES), np.uint8)
    row = rng.permutation(count + 5)[:count]
    cell = np.arange(count) + 7 if together else rng.permutation(count + 20)[:count]
    codec = None if share is None else (rng.random(count) < share).astype(np.uint8)
    scratch = np.zeros((64, FRAME), np.int16)
    ring, around = guarded((count + 20, FRAME), np.int16)
    wanted, _ = guarded((count + 20, FRAME), np.int16)
    c.decode(data, row, codec, cell, ring, scratch)
    samples_numpy.decode(data, row, codec, cell, wanted, scratch)
    assert (ring == wanted).all()
    assert unharmed(around)
    kinds = np.zeros(count, np.uint8) if codec is None else codec
    payload = data[row, PAYLOAD_AT : PAYLOAD_AT + FRAME]
    assert (ring[cell] == g711.DECODE[kinds[:, None], payload]).all()


@pytest.mark.parametrize("codec", [PCMU, PCMA])
def test_every_code_is_decoded_as_the_standard_has_it(c: samples_c.Loops, codec: int) -> None:
    """But for the negative zero of µ-law, which is to come back as itself."""
    data = np.zeros((2, ROW_BYTES), np.uint8)
    data[:, PAYLOAD_AT : PAYLOAD_AT + FRAME].reshape(2, -1)[:] = np.resize(
        np.arange(256), (2, FRAME)
    )
    ring = np.zeros((2, FRAME), np.int16)
    c.decode(data, np.arange(2), np.full(2, codec, np.uint8), np.arange(2), ring, ring)
    scalar = (g711_scalar.ulaw_decode, g711_scalar.alaw_decode)[codec]
    wanted = [scalar(code) for code in range(256)]
    if codec == PCMU:
        wanted[0x7F] = g711.NEGATIVE_ZERO
    assert ring.reshape(-1)[:256].tolist() == wanted


# --- frames by conference and sums --------------------------------------------------------


def groups_of(rng: np.random.Generator, sizes: Sequence[int], outside: int) -> NDArray[np.int64]:
    """Return the group of each slot: groups of these sizes, and slots in none."""
    numbers = rng.permutation(1_000)[: len(sizes)]
    group = np.concatenate([np.repeat(numbers, sizes), np.full(outside, -1)]).astype(np.int64)
    rng.shuffle(group)
    return group


SIZES: Final = {
    "lone talkers": [1] * 40,
    "pairs": [2] * 30,
    "tens": [10] * 12,
    "all sizes": [1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 63, 64, 65, 89, 144, 300],
    "one of all": [300],
}
FRAMES: Final = ("codes", "negative zeros", "full scale", "sparse")


def frames_of(rng: np.random.Generator, kind: str, count: int) -> NDArray[np.int16]:
    """Return frames with what is dangerous in each."""
    if kind == "codes":
        frames = g711.DECODE[PCMU][rng.integers(0, 256, (count, FRAME))]
    elif kind == "negative zeros":
        frames = rng.choice(np.array([-1, -1, 0, 1, 8], np.int16), (count, FRAME))
    elif kind == "full scale":
        frames = rng.choice(np.array([-32_768, 32_767], np.int16), (count, FRAME))
    else:  # a single sample in a frame, anywhere
        frames = np.zeros((count, FRAME), np.int16)
        frames[np.arange(count), rng.integers(0, FRAME, count)] = rng.integers(-3, 3, count)
    found: NDArray[np.int16] = frames.astype(np.int16)
    found[rng.random(count) < 0.1] = 0
    return found


def mixed(
    loops: Any, ring: NDArray[np.int16], cell: NDArray[np.int64], group: NDArray[np.int64],
    gain: NDArray[np.float32], quiet: NDArray[np.bool_], codec: NDArray[np.uint8],
    linked: NDArray[np.int64],
) -> dict[str, NDArray[Any]]:  # fmt: skip
    """Return everything that the loops give of a mix; what each leg hears by slot."""
    groups = arrange(group, linked)
    count, several, legs = len(groups.order), len(groups.dense), len(group)
    buffers = MixBuffers.of(max(legs, several) + 2)
    for dirt in (buffers.talk, buffers.total):  # of the tick before
        dirt[:] = 4_321
    speaks = loops.sum_up(groups, cell, ring, gain, quiet, buffers)
    codes, around = guarded((2 + 3 * legs, FRAME), np.uint8)
    pick = np.full(legs, -5)
    used = loops.deliver(groups, speaks, codec, buffers, codes, pick, 2) if count else 2
    assert unharmed(around)
    return {
        "order": groups.order, "talk": buffers.talk, "total": buffers.total, "speaks": speaks,
        "used": np.array(used), "codes": codes, "pick": pick, "heard": codes[np.maximum(pick, 0)],
    }  # fmt: skip


@pytest.mark.parametrize("frames", FRAMES)
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("muted", [0.0, 0.3, 1.0])
def test_mixes_are_the_same_by_c_by_numpy_and_by_loops(
    c: samples_c.Loops, frames: str, sizes: list[int], muted: float
) -> None:
    rng = np.random.default_rng(len(sizes))
    group = groups_of(rng, sizes, 7)
    legs = len(group)
    ring = frames_of(rng, frames, legs + 30)
    cell = rng.permutation(legs + 30)[:legs]
    quiet = rng.random(legs) < muted
    gain = np.ones(legs + 9, np.float32)
    codec = rng.integers(0, 2, legs).astype(np.uint8)
    linked = np.array([5_000, 5_001], np.int64)  # no leg of theirs is here
    by_c = mixed(c, ring, cell, group, gain, quiet, codec, linked)
    by_numpy = mixed(samples_numpy, ring, cell, group, gain, quiet, codec, linked)
    for name, value in by_numpy.items():
        assert (by_c[name] == value).all(), name
    assert (by_c["total"][len(sizes) + 2 :] == 4_321).all(), "no row of another group is touched"
    assert (by_c["talk"][sum(sizes) :] == 4_321).all()
    said = ring[cell].tolist()
    speaking = [group[slot] >= 0 and not quiet[slot] and any(said[slot]) for slot in range(legs)]
    codes = (g711.ENCODE[PCMU].tolist(), g711.ENCODE[PCMA].tolist())  # themselves proven
    for slot in by_c["order"].tolist()[:: max(legs // 6, 1)]:
        heard = mix_scalar.heard(slot, said, group.tolist(), speaking)
        assert heard is not None
        wanted = [codes[codec[slot]][value & 0xFFFF] for value in heard]
        assert by_c["heard"][slot].tolist() == wanted
    assert (by_c["pick"][group < 0] == -5).all(), "who is in no group is left alone"
    rows = {(group[s], codec[s]) for s in range(legs) if group[s] >= 0 and not speaking[s]}
    if 5 * sum(speaking) < 4 * sum(sizes):
        assert by_c["used"] == 2 + sum(speaking) + len(rows), "those who say nothing share"
    else:
        assert by_c["used"] == 2 + sum(sizes)


@pytest.mark.parametrize("frames", FRAMES)
def test_gains_are_the_same_by_c_by_numpy_and_by_loops(c: samples_c.Loops, frames: str) -> None:
    """Cut off at full scale, towards zero; what becomes all zeros says nothing."""
    rng = np.random.default_rng(8)
    group = np.arange(60) % 7
    ring = frames_of(rng, frames, 60)
    gain = rng.choice(np.array([0.0, 0.1, 0.5, 1, 1.01, 3, 1_000], np.float32), 60)
    quiet, codec = np.zeros(60, np.bool_), (np.arange(60) % 2).astype(np.uint8)
    nobody = np.zeros(0, np.int64)
    arguments = ring, np.arange(60), group, gain, quiet, codec, nobody
    by_c, by_numpy = mixed(c, *arguments), mixed(samples_numpy, *arguments)
    for name, value in by_numpy.items():
        assert (by_c[name] == value).all(), name
    talk = by_c["talk"][:60]
    for row, slot in enumerate(by_c["order"].tolist()):
        if gain[slot] == 1:
            continue
        factor = float(gain[slot])
        wanted = [
            int(max(min(float(np.float32(v * factor)), 32_767), -32_768))
            for v in ring[slot].tolist()
        ]
        several = sum(by_c["speaks"][by_c["order"] % 7 == slot % 7]) > 1
        assert talk[row].tolist() == [0 if v == -1 and several else v for v in wanted]


def test_nobody_in_any_group_is_nothing_to_do(c: samples_c.Loops) -> None:
    nobody = np.full(4, -1)
    ring = np.ones((4, FRAME), np.int16)
    none = np.zeros(0, np.int64)
    codec, quiet = np.zeros(4, np.uint8), np.zeros(4, np.bool_)
    gain = np.ones(4, np.float32)
    found = mixed(c, ring, np.arange(4), nobody, gain, quiet, codec, none)
    assert len(found["speaks"]) == 0
    assert (found["total"] == 4_321).all()
    found = mixed(c, ring, np.arange(4), nobody, gain, quiet, codec, np.array([9]))
    assert not found["total"][0].any()
    assert (found["total"][1:] == 4_321).all()


# --- encode -------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", [PCMU, PCMA])
def test_every_sum_is_encoded_alike(c: samples_c.Loops, codec: int) -> None:
    """All of int16, all that 16 voices can say at full scale, the edges, and far beyond."""
    rng = np.random.default_rng(codec)
    near = np.arange(-g711.SUM_ZERO - 400, g711.SUM_ZERO + 400)
    far = rng.integers(-4_096 * 32_768, 4_096 * 32_767, 50_000)
    total = np.resize(np.concatenate([near, far]), (len(near) // FRAME + 320, FRAME))
    total = total.astype(np.int32)
    rows = len(total)
    found = []
    for loops in (c, samples_numpy):  # a group each, whose one leg says nothing
        groups, buffers = arrange(np.arange(rows)), MixBuffers.of(rows)
        buffers.total[:] = total
        codes, around = guarded((rows, FRAME), np.uint8)
        kinds, pick = np.full(rows, codec, np.uint8), np.zeros(rows, np.int64)
        nobody = np.zeros(rows, np.bool_)
        assert loops.deliver(groups, nobody, kinds, buffers, codes, pick, 0) == rows
        assert unharmed(around)
        found.append(codes[pick])
    codes = found[0]
    saturated = np.clip(total, -32_768, 32_767).astype(np.int16)
    assert (codes == g711.ENCODE[codec][saturated.view(np.uint16)]).all()
    assert (codes == found[1]).all()
    scalar = (g711_scalar.ulaw_encode, g711_scalar.alaw_encode)[codec]
    for value in [*range(-32_800, 32_800, 61), -32_769, -32_636, -1, 0, 1, 7, 8, 32_635, 32_768]:
        row, column = divmod(value + g711.SUM_ZERO + 400, FRAME)
        assert codes[row, column] == scalar(max(min(value, 32_767), -32_768)), value


def test_a_difference_beyond_int32_is_no_crash(c: samples_c.Loops) -> None:
    """No leg can make such a total; it goes round, as numpy's does."""
    buffers = MixBuffers.of(2)
    buffers.total[:] = np.iinfo(np.int32).min
    buffers.talk[:] = 1
    codes, pick = np.zeros((2, FRAME), np.uint8), np.zeros(2, np.int64)
    groups, all_speak = arrange(np.array([3, 4])), np.ones(2, np.bool_)
    c.deliver(groups, all_speak, np.array([PCMU, PCMA], np.uint8), buffers, codes, pick, 0)
    assert (codes[0] == g711_scalar.ulaw_encode(32_767)).all()
    assert (codes[1] == g711_scalar.alaw_encode(32_767)).all()


# --- power --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize("size", [FRAME, 2 * FRAME])
@pytest.mark.parametrize("count", [0, 1, 300])
def test_power_is_exact(c: samples_c.Loops, kind: str, size: int, count: int) -> None:
    rng = np.random.default_rng(count)
    frames = np.concatenate([frames_of(rng, kind, count) for _ in range(size // FRAME)], axis=1)
    one_by_one = [sum(int(s) ** 2 for s in frame) / size for frame in frames]
    assert c.power_of(frames).tolist() == one_by_one
    assert samples_numpy.power_of(frames).tolist() == one_by_one
    frames.flags.writeable = False
    assert c.power_of(frames).tolist() == one_by_one


# --- what is refused ----------------------------------------------------------------------


def _decode(loops: samples_c.Loops, **wrong: Any) -> None:
    named: dict[str, Any] = {
        "data": np.zeros((3, ROW_BYTES), np.uint8),
        "row": np.arange(3),
        "codec": np.zeros(3, np.uint8),
        "cell": np.arange(3),
        "ring": np.zeros((3, FRAME), np.int16),
    }
    named |= wrong
    loops.decode(**named, scratch=np.zeros((1, FRAME), np.int16))


@pytest.mark.parametrize(
    "wrong",
    [
        {"data": np.zeros((3, PAYLOAD_AT + FRAME - 1), np.uint8)},
        {"data": np.zeros((3, 2 * ROW_BYTES), np.uint8)[:, ::2]},
        {"data": np.zeros(ROW_BYTES, np.uint8)},
        {"row": np.arange(2)},
        {"row": np.arange(3, dtype=np.int32)},
        {"row": np.arange(6)[::2]},
        {"codec": np.zeros(2, np.uint8)},
        {"codec": np.zeros(3, np.int64)},
        {"ring": np.zeros((3, FRAME + 1), np.int16)},
        {"ring": np.zeros((3, FRAME), np.int32)},
        {"ring": np.zeros((FRAME, 3), np.int16).T},
    ],
)
def test_an_array_of_another_shape_or_type_is_refused(
    c: samples_c.Loops, wrong: dict[str, Any]
) -> None:
    with pytest.raises(TypeError):
        _decode(c, **wrong)


@pytest.mark.parametrize("name", ["row", "cell"])
@pytest.mark.parametrize("index", [-1, 3, 2**62, -(2**63)])
def test_an_index_outside_is_refused_by_c(c: samples_c.Loops, name: str, index: int) -> None:
    with pytest.raises(IndexError, match="row 1 of 3"):
        _decode(c, **{name: np.array([0, index, 2])})


@pytest.mark.parametrize("index", [-1, 5, 2**62])
def test_no_row_of_a_mix_points_outside(c: samples_c.Loops, index: int) -> None:
    groups, buffers = arrange(np.array([0, 0, 1, 1, 1])), MixBuffers.of(5)
    ring, cell, wrong = np.ones((5, FRAME), np.int16), np.arange(5), np.array([0, 1, index, 3, 4])
    gain, quiet = np.ones(5, np.float32), np.zeros(5, np.bool_)
    codec, codes, pick = (
        np.zeros(5, np.uint8),
        np.zeros((9, FRAME), np.uint8),
        np.zeros(5, np.int64),
    )

    def refused() -> None:
        with pytest.raises(IndexError, match=r"row [0-4] of 5"):
            c.sum_up(groups, cell, ring, gain, quiet, buffers)
        for speaks in (np.ones(5, np.bool_), np.zeros(5, np.bool_)):
            with pytest.raises(IndexError):
                c.deliver(groups, speaks, codec, buffers, codes, pick, 0)

    with pytest.raises(IndexError, match=r"row [0-4] of 5"):
        c.sum_up(groups, wrong, ring, gain, quiet, buffers)
    groups.order[2] = index
    refused()
    groups.order[2], groups.group[2] = 2, index
    refused()
    groups.group[2] = 1
    c.sum_up(groups, cell, ring, gain, quiet, buffers)


@pytest.mark.parametrize("used", [-1, 5, 2**62])
def test_codes_have_no_room_outside(c: samples_c.Loops, used: int) -> None:
    groups, buffers = arrange(np.array([0, 0, 1, 1, 1])), MixBuffers.of(5)
    codec, pick = np.zeros(5, np.uint8), np.zeros(5, np.int64)
    codes, around = guarded((9, FRAME), np.uint8)
    all_speak = np.ones(5, np.bool_)
    with pytest.raises(IndexError, match=f"from row {used} on, of 9"):
        c.deliver(groups, all_speak, codec, buffers, codes, pick, used)
    assert c.deliver(groups, all_speak, codec, buffers, codes, pick, 4) == 9
    with pytest.raises(IndexError, match="from row 8 on"):
        c.deliver(groups, ~all_speak, codec, buffers, codes, pick, 8)
    assert c.deliver(groups, ~all_speak, codec, buffers, codes, pick, 7) == 9
    assert unharmed(around)


def test_more_groups_or_rows_than_there_is_room_for_are_refused(c: samples_c.Loops) -> None:
    groups, cell, ring = arrange(np.arange(5)), np.arange(5), np.ones((5, FRAME), np.int16)
    gain, quiet = np.ones(5, np.float32), np.zeros(5, np.bool_)
    with pytest.raises(TypeError):
        c.sum_up(groups, cell, ring, gain, quiet, MixBuffers.of(4))
    for wrong in ({"gain": gain[:4]}, {"quiet": quiet[:4]}, {"ring": ring[:, :9]}):
        given: dict[str, Any] = {"gain": gain, "quiet": quiet, "ring": ring} | wrong
        with pytest.raises(TypeError):
            c.sum_up(groups, cell, buffers=MixBuffers.of(5), **given)
    buffers = MixBuffers.of(5)
    buffers.total = buffers.total[:4]
    with pytest.raises(TypeError):
        c.sum_up(groups, cell, ring, gain, quiet, buffers)
    codec, codes, pick = (
        np.zeros(5, np.uint8),
        np.zeros((9, FRAME), np.uint8),
        np.zeros(5, np.int64),
    )
    for odd in ({"speaks": quiet[:4]}, {"pick": pick[:4]}, {"codes": codes[:, :9]}):
        named: dict[str, Any] = {"speaks": quiet, "pick": pick, "codes": codes} | odd
        with pytest.raises(TypeError):
            c.deliver(groups, codec=codec, buffers=MixBuffers.of(5), used=0, **named)


def test_another_array_of_the_same_name_is_looked_at_again(c: samples_c.Loops) -> None:
    """Addresses are kept for arrays that stay; one that is replaced is checked, and used."""
    groups, buffers = arrange(np.zeros(3, np.int64)), MixBuffers.of(3)
    gain, quiet, cell = np.ones(3, np.float32), np.zeros(3, np.bool_), np.arange(3)
    for value in (4, 9):
        ring = np.full((3, FRAME), value, np.int16)
        c.sum_up(groups, cell, ring, gain, quiet, buffers)
        assert (buffers.total[0] == 3 * value).all()
    with pytest.raises(TypeError):
        c.sum_up(groups, cell, ring.astype(np.int32), gain, quiet, buffers)


# --- which are used -----------------------------------------------------------------------

LOOPS: Final = (
    "decode", "sum_up", "deliver", "power_of", "levels", "follow", "tap", "due", "step", "clock",
    "lay",
)  # fmt: skip
ASK: Final = "from bridge.media import samples; print(samples.LOOPS, samples.WHY_NUMPY)"


def asked(*, numpy: str) -> str:
    """Return what a new process says of its loops."""
    environment = os.environ | {samples.SWITCH: numpy}
    command = [sys.executable, "-c", ASK]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_environment_asks_for_numpy() -> None:
    assert asked(numpy="1") == "numpy TOLLBRIDGE_NUMPY=1"


def test_what_was_compiled_is_used() -> None:
    found = importlib.util.find_spec("bridge.media._samples") is not None
    assert asked(numpy="") == ("c" if found else "numpy not compiled when this was installed")


def test_all_the_loops_are_of_one_kind() -> None:
    owners = {
        getattr(getattr(samples, name), "__self__", samples_numpy) is samples_numpy
        for name in LOOPS
    }
    assert owners == {samples.LOOPS == "numpy"} == {arrivals.WAY is steady.ByArrays}


def test_a_library_that_was_never_built_or_is_another_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples_c, "find_spec", lambda _name: None)
    with pytest.raises(samples_c.Unfit, match="not compiled"):
        samples_c.built()
    torn = tmp_path / "torn.so"
    torn.write_bytes(b"\x7fELF")
    with pytest.raises(samples_c.Unfit, match="torn"):
        samples_c.Loops(str(torn))
    libc = ctypes.util.find_library("c")
    assert libc is not None
    with pytest.raises(samples_c.Unfit, match="tb_version"):
        samples_c.Loops(libc)


def test_a_library_of_an_older_source_is_refused(
    c: samples_c.Loops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples_c, "VERSION", samples_c.VERSION + (1 << 16))
    with pytest.raises(samples_c.Unfit, match="another version"):
        samples_c.Loops(compiled(tmp_path))


def test_a_mix_says_the_same_whichever_loops_it_uses(
    c: samples_c.Loops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With gains, extra sound, and few who speak, so that listeners share frames."""
    found = []
    for loops in (c, samples_numpy):
        for name in LOOPS:
            monkeypatch.setattr(samples, name, getattr(loops, name))
        rng = np.random.default_rng(4)
        group = groups_of(rng, [1, 2, 9, 40, 70], 3)
        legs = len(group)
        groups = arrange(group)
        voices = mix.Voices(
            ring=frames_of(rng, "codes", legs),
            cell=np.arange(legs),
            quiet=rng.random(legs) < 0.7,
            codec=rng.integers(0, 2, legs).astype(np.uint8),
            extra_group=np.array([1, 1, 3]),
            extra=frames_of(rng, "codes", 3),
            codes=np.full((2 + 4 * legs, FRAME), 0xFF, np.uint8),
            pick=np.zeros(legs, np.int64),
            used=2,
            gain=rng.choice(np.array([0.5, 1, 2], np.float32), legs),
        )
        mix.mix_minus(groups, voices, MixBuffers.of(legs))
        found.append(voices.codes[voices.pick])
    assert (found[0] == found[1]).all()
