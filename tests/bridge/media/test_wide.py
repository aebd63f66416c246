"""Wideband legs in the plane: who hears whom over codecs, and at every packet length."""

import itertools
import struct

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.bench.speech import spoken
from bridge.media.codecs import WIDE, missing_library
from bridge.media.rtcp import REPORT_BYTES_MAX
from bridge.media.shape import FRAME
from tests.bridge.media.rig import EVENT, Datagram, tone
from tests.bridge.media.wide_rig import WideRig, level, wide_tone

CODECS = ("PCMU", "G722", "L16", "OPUS", "PCMA")
WIDEBAND = ("G722", "L16", "OPUS")


def conference(*codecs: str) -> WideRig:
    rig = WideRig()
    for slot, codec in enumerate(codecs):
        rig.join(slot, codec)
    return rig


def test_everybody_hears_the_others_and_not_himself_over_all_codecs() -> None:
    rig = conference(*CODECS)
    hertz = [500, 700, 900, 1_100, 1_300]
    for n in range(60):
        rig.tick(*[rig.hums(slot, n, hertz[slot]) for slot in range(5)])
    for slot, other in itertools.product(range(5), range(5)):
        heard = level(rig.heard_since(slot, 20), hertz[other], rig.rate(slot))
        assert heard < 160 if slot == other else 6_000 < heard < 8_400, (slot, other, heard)
    assert rig.plane.counters.totals == {"rx": 300, "tx": 300}


@pytest.mark.parametrize("codec", WIDEBAND)
def test_a_tone_above_4_khz_is_heard_by_wideband_legs_and_leaves_no_image(codec: str) -> None:
    rig = conference(codec, "G722", "L16", "OPUS", "PCMU")
    for n in range(60):
        rig.tick(rig.hums(0, n, 6_200))
    for slot in (1, 2, 3):
        assert level(rig.heard_since(slot, 20), 6_200, rig.rate(slot)) > 5_000, slot
    narrow = rig.heard_since(4, 20)
    assert level(narrow, 1_800, 8_000) < 3, "where an image would be"
    assert np.abs(narrow).max() < (1 if codec == "L16" else 160), "no more than the codec's noise"


@pytest.mark.parametrize("codec", WIDEBAND)
def test_narrowband_speech_leaves_no_image_above_4_khz(codec: str) -> None:
    rig = conference("PCMU", codec)
    for n in range(60):
        rig.tick(rig.hums(0, n, 3_000))
    heard = rig.heard_since(1, 20)
    assert level(heard, 3_000, rig.rate(1)) > 6_500
    assert level(heard, 5_000, rig.rate(1)) < 60, "G.722's and Opus's own noise is there"


def test_what_l16_legs_hear_is_the_sum_at_16_khz_sample_by_sample() -> None:
    rig = conference("L16", "L16", "L16")
    rng = np.random.default_rng(4)
    said = rng.integers(-12_000, 12_000, (3, 12, 320)).astype(np.int16)
    for n in range(12):
        rig.tick(*[rig.says(slot, n, said[slot, n]) for slot in range(3)])
    for slot in range(3):
        others = np.delete(said, slot, axis=0).astype(np.int32).sum(axis=0)
        want = others.clip(-32_768, 32_767)
        assert (np.stack(rig.audio[slot][1:]) == want[:-1]).all()


def test_nothing_of_ones_own_voice_comes_back_by_way_of_a_conversion() -> None:
    """The conference has all rates, one talks: he hears silence, not a remainder."""
    rig = conference("L16", "OPUS", "PCMU", "G722")
    rng = np.random.default_rng(5)
    for n in range(20):
        rig.tick(rig.says(0, n, rng.integers(-9_000, 9_000, 320).astype(np.int16)))
    assert not rig.heard_since(0, 0).any()


@pytest.mark.parametrize("codec", WIDEBAND)
def test_timestamps_run_on_the_codecs_clock_also_over_skipped_ticks(codec: str) -> None:
    rig = conference(codec, "PCMU")
    for skipped in (0, 0, 3, 0):
        rig.tick(skipped=skipped)
    steps = np.diff(rig.stamps[0]) // WIDE[codec].clock_steps
    assert steps.tolist() == [FRAME, 4 * FRAME, FRAME]


@pytest.mark.parametrize(("codec", "ptime_ms"), [
    ("G722", 10), ("G722", 30), ("G722", 40), ("G722", 60), ("L16", 10), ("L16", 20), ("L16", 30),
    ("L16", 40), ("L16", 60), ("OPUS", 10), ("OPUS", 40), ("OPUS", 60),
])  # fmt: skip
def test_any_ptime_is_taken(codec: str, ptime_ms: int) -> None:
    rig = conference(codec, "L16")
    wide = WIDE[codec]
    size = wide.rate_hz * ptime_ms // 1_000
    t = np.arange(wide.rate_hz * 2) / wide.rate_hz
    stream = (8_000 * np.sin(2 * np.pi * 1_000 * t)).astype(np.int16)
    for n in range(70):
        packets = [
            rig.packet(
                0,
                k,
                rig.mouths[0].encode(np.ascontiguousarray(stream[k * size : (k + 1) * size])),
                ts=k * ptime_ms * 8 * wide.clock_steps,
            )
            for k in range(n * 20 // ptime_ms, (n + 1) * 20 // ptime_ms)
        ]
        rig.tick(*packets)
    heard = rig.heard_since(1, 20)
    assert level(heard, 1_000, 16_000) == pytest.approx(8_000, rel=0.08)
    assert rest_of(heard, 1_000) < 0.03, "no gap, no click"
    assert "concealed" not in rig.plane.counters.totals
    assert rig.count("late") == 0


def rest_of(samples: NDArray[np.int16], hertz: float, rate_hz: int = 16_000) -> float:
    """Return the share of the power that is not near a tone."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    near = np.abs(np.fft.rfftfreq(len(samples), 1 / rate_hz) - hertz) < 20
    return float(power[~near].sum() / power.sum())


@pytest.mark.parametrize(("codec", "ptime_ms", "sent_ms"), [
    ("G722", 10, 10), ("G722", 30, 30), ("G722", 60, 60), ("L16", 10, 10), ("L16", 30, 20),
    ("L16", 60, 40), ("OPUS", 10, 10), ("OPUS", 30, 20), ("OPUS", 40, 40), ("OPUS", 60, 60),
])  # fmt: skip
def test_what_the_other_side_asks_for_is_sent_as_far_as_the_codec_has_it(
    codec: str, ptime_ms: int, sent_ms: int
) -> None:
    rig = conference("PCMU", codec)
    rig.remote(1, codec, ptime_ms=ptime_ms)
    bodies: list[bytes] = []
    for n in range(60):
        rig.tick(rig.hums(0, n, 1_000))
        out, wide = rig.plane.out, rig.plane.wide.out
        for data, slots, length in (
            (out.odd_data, out.odd_slots, out.odd_length),
            (wide.data, wide.slots, wide.length),
        ):
            rows = np.flatnonzero(slots == 1)
            bodies += [data[row, 4 : 4 + length[row]].tobytes() for row in rows]
        bodies += [rig.sent[1]] if 1 in rig.sent else []
    heads = [struct.unpack("!BBHII", body[:12]) for body in bodies]
    steps = WIDE[codec].clock_steps * 8 * sent_ms
    assert set(np.diff([head[3] for head in heads])) == {steps}
    assert set(np.diff([head[2] for head in heads])) == {1}
    ear = WIDE[codec].decoder()
    heard = np.concatenate([ear.decode(body[12:]) for body in bodies])
    rate = WIDE[codec].rate_hz
    assert level(heard[rate // 4 :], 1_000, rate) == pytest.approx(8_000, rel=0.12)


@pytest.mark.parametrize("codec", WIDEBAND)
def test_lost_packets_are_made_up_without_a_click(codec: str) -> None:
    rig = conference(codec, "L16")
    for n in range(80):
        rig.tick(*([] if n % 20 == 11 else [rig.hums(0, n, 400)]))
    heard = rig.heard_since(1, 20).astype(np.float64)
    assert level(heard.astype(np.int16), 400, 16_000) > 6_500
    smooth = 8_000 * 2 * np.pi * 400 / 16_000
    assert np.abs(np.diff(heard)).max() < 2 * smooth
    assert np.abs(heard.reshape(-1, 320)).max(axis=1).min() > 3_000, "no frame is missing"


def test_a_lost_opus_packet_comes_back_from_the_next_one() -> None:
    """In-band FEC: what only the lost packet could have told is heard."""
    rig = conference("OPUS", "L16")
    for n in range(60):
        hertz = 900 if n == 40 else 300
        packet = rig.hums(0, n, hertz)
        rig.tick(*([] if n == 40 else [packet]))
    lost = rig.heard_since(1, 0)[41 * 320 : 43 * 320]
    assert level(lost, 900, 16_000) > 4_000


@pytest.mark.parametrize("codec", WIDEBAND)
def test_late_reordered_and_doubled_packets_are_dealt_with_as_ever(codec: str) -> None:
    rig = conference(codec, "L16")
    waiting: list[Datagram] = []
    for n in range(80):
        packet = rig.hums(0, n, 400)
        if n == 30:  # two ticks late
            waiting.append(packet)
            rig.tick()
        elif n == 32:
            rig.tick(packet, *waiting)
        elif n == 50:
            rig.tick(packet, packet)
        else:
            rig.tick(packet)
    assert rig.count("duplicate") == 1
    assert rig.count("late") + rig.count("pulled_back") >= 1
    heard = rig.heard_since(1, 60)
    assert level(heard, 400, 16_000) > 7_000


def test_a_leg_that_is_gone_for_long_is_silent_and_comes_back() -> None:
    for codec in WIDEBAND:
        rig = conference(codec, "L16")
        for n in range(120):
            rig.tick(*([rig.hums(0, n, 400)] if n < 20 or n > 90 else []))
        frames = np.stack(rig.audio[1])
        assert not frames[30:90].any(), codec
        assert level(frames[95:].ravel(), 400, 16_000) > 7_000


def test_opus_that_rests_is_heard_as_its_noise_and_not_as_gaps() -> None:
    """DTX: one packet in 400 ms; in between the decoder goes on, fading nothing in or out."""
    rig = conference("OPUS", "L16")
    rng = np.random.default_rng(2)
    for n in range(110):
        noise = (300 * rng.standard_normal(960)).astype(np.int16)
        packet = rig.says(0, n, noise)
        if n < 40:
            rig.tick(packet)
        elif (n - 40) % 20 == 0:
            head, source, port = packet
            rig.tick((head[:13], source, port))  # its table of contents alone
        else:
            rig.tick()
    power = (np.stack(rig.audio[1][45:105]).astype(np.float64) ** 2).mean(axis=1)
    assert power.min() > 0
    assert 10 * np.log10(power.max() / power.min()) < 20


def test_comfort_noise_packets_are_silence_without_a_click() -> None:
    """RFC 3389: a conference adds no noise of those who say nothing."""
    rig = conference("G722", "L16")
    for n in range(60):
        if n < 30:
            rig.tick(rig.hums(0, n, 400))
        else:
            rig.tick(rig.packet(0, n, b"\x40", kind=13))
    heard = rig.heard_since(1, 0).astype(np.float64)
    assert np.abs(np.diff(heard)).max() < 2 * 8_000 * 2 * np.pi * 400 / 16_000
    assert not heard[40 * 320 :].any()
    assert rig.count("comfort_noise") == 30


@pytest.mark.parametrize(("codec", "clock"), [("G722", 1), ("L16", 2), ("OPUS", 6)])
def test_telephone_events_are_on_the_codecs_clock(codec: str, clock: int) -> None:
    """RFC 4733 §2.1: 100 ms are 800, 1,600 or 4,800 steps; the key's length is told in ms."""
    rig = conference(codec, "PCMU")
    keys = []
    for n in range(12):
        packets = [rig.hums(0, n, 400)]
        if 4 <= n < 9:
            body = struct.pack("!BBH", 5, 0x80 * (n == 8) | 10, (n - 3) * 160 * clock)
            packets = [rig.packet(0, n, body, ts=4 * FRAME * clock, kind=EVENT)]
        keys += rig.tick(*packets).keys
    assert [(key.slot, key.key, key.duration_ms) for key in keys] == [(0, "5", 100)]


@pytest.mark.parametrize("codec", WIDEBAND)
def test_keys_as_tones_are_heard_from_wideband_legs_and_not_by_the_others(codec: str) -> None:
    rig = conference(codec, "L16")
    rig.remote(0, codec, events=False)
    keys = []
    for n in range(40):
        if 10 <= n < 16:
            both = wide_tone(770, n, rig.rate(0)) // 2 + wide_tone(1_336, n, rig.rate(0)) // 2
            keys += rig.tick(rig.says(0, n, both)).keys
        else:
            keys += rig.tick(rig.hums(0, n, 30)).keys
    assert [key.key for key in keys] == ["5"]


@pytest.mark.parametrize("codec", WIDEBAND)
def test_no_talk_off_on_wideband_speech(codec: str) -> None:
    """What one says is no key, also by way of the codec and down to 8 kHz."""
    rig = conference(codec, "PCMU")
    rig.remote(0, codec, events=False)
    keys = []
    for n, frame in enumerate(spoken(voice="en", rate_hz=WIDE[codec].rate_hz)):
        keys += rig.tick(rig.says(0, n, frame)).keys
    assert not keys


@pytest.mark.parametrize("codec", WIDEBAND)
def test_a_prompt_is_heard_alone_and_whole(codec: str) -> None:
    clip = np.concatenate([tone(1_000, n) for n in range(20)])
    rig = WideRig({"prompt": clip})
    rig.join(0, codec)
    rig.join(1, "L16")
    token = []
    for n in range(60):
        if n == 20:
            rig.plane.plays.start(0, ("prompt",), token=7, loop=False)
        token += rig.tick(rig.hums(1, n, 500)).played
    assert token == [(0, 7)]
    while_ = rig.heard_since(0, 24)[: 14 * rig.rate(0) // 50]
    assert level(while_, 1_000, rig.rate(0)) == pytest.approx(8_000, rel=0.1)
    assert level(while_, 500, rig.rate(0)) < 200
    assert level(rig.heard_since(0, 46), 500, rig.rate(0)) > 7_000


def test_a_clip_of_a_group_is_heard_by_wideband_legs() -> None:
    rig = WideRig({"beep": np.concatenate([tone(1_000, n) for n in range(20)])})
    rig.join(0, "OPUS")
    rig.join(1, "L16")
    for n in range(24):
        if n == 1:
            rig.plane.plays.start_group(5, ("beep",))
        rig.tick()
    for slot in (0, 1):
        assert level(rig.heard_since(slot, 3)[: rig.rate(slot) // 4], 1_000, rig.rate(slot)) > 6_500


def test_a_recording_has_the_voices_of_all_rates() -> None:
    rig = conference("OPUS", "G722", "PCMU")
    rig.plane.taps.start(5)
    pieces = []
    for n in range(60):
        pieces += rig.tick(*[rig.hums(slot, n, 500 + 300 * slot) for slot in range(3)]).pieces
    whole = pieces[0].samples[20 * FRAME :]
    for hertz in (500, 800, 1_100):
        assert level(whole, hertz, 8_000) > 6_500


def test_a_wideband_legs_own_track_and_its_takes_have_its_voice_and_no_other() -> None:
    rig = WideRig()
    for slot, codec in enumerate(("OPUS", "G722", "PCMU")):
        rig.join(slot, codec, group=-1)
        rig.plane.set_group(slot, 5, f"leg-{slot}")
    rig.plane.record(5, tracks=True)
    rig.plane.takes.start(1, "name", 30)
    pieces, takes = [], []
    for n in range(50):
        result = rig.tick(*[rig.hums(slot, n, 500 + 300 * slot) for slot in range(3)])
        pieces += result.pieces
        takes += result.takes
    tracks = {piece.track: piece.samples[20 * FRAME :] for piece in pieces}
    assert set(tracks) == {"", "leg-0", "leg-1", "leg-2"}
    for slot, other in itertools.product(range(3), range(3)):
        found = level(tracks[f"leg-{slot}"], 500 + 300 * other, 8_000)
        assert found > 6_500 if slot == other else found < 150
    assert [take.name for take in takes] == ["name"]
    assert level(takes[0].samples[10 * FRAME :], 800, 8_000) > 6_500
    assert level(rig.heard_since(1, 20), 800, 16_000) < 100, "he does not hear himself for that"


def test_a_wideband_leg_is_noticed_to_talk_and_to_stop_and_not_when_muted() -> None:
    rig = conference("G722", "OPUS")
    rig.plane.muted[1] = True
    seen = []
    for n in range(80):
        packets = [rig.hums(slot, n, 400) for slot in (0, 1)] if n < 40 else []
        result = rig.tick(*packets)
        seen += [(slot, bool(rig.plane.voice.talking[slot])) for slot in result.talk]
    assert seen == [(0, True), (0, False)]
    assert np.abs(rig.heard_since(0, 0)).max() < 8, "G.722's own noise"


def test_a_legs_gain_is_taken_at_its_own_rate() -> None:
    rig = conference("L16", "L16", "PCMU")
    rig.plane.gain[0] = 0.5
    for n in range(30):
        rig.tick(rig.hums(0, n, 400))
    assert level(rig.heard_since(1, 5), 400, 16_000) == pytest.approx(4_000, rel=0.02)
    assert level(rig.heard_since(2, 5), 400, 8_000) == pytest.approx(4_000, rel=0.05)
    assert not rig.heard_since(0, 0).any()


def test_a_codec_may_change_in_a_call() -> None:
    rig = conference("PCMU", "L16")
    frame = 0
    for codec in ("OPUS", "PCMU", "G722", "L16"):
        if codec in WIDE:
            rig.mouths[0], rig.ears[0] = WIDE[codec].encoder(), WIDE[codec].decoder()
        else:
            del rig.mouths[0], rig.ears[0]
        rig.remote(0, codec)
        rig.audio[0].clear()
        rig.audio[1].clear()
        for n in range(frame, frame + 40):
            rig.tick(rig.hums(0, n, 400), rig.hums(1, n, 900))
        frame += 40
        assert level(rig.heard_since(1, 15), 400, 16_000) > 6_500, codec
        assert level(rig.heard_since(0, 15), 900, rig.rate(0)) > 6_500, codec


def test_legs_come_and_go_without_a_click_for_those_who_stay() -> None:
    rig = conference("L16", "OPUS")
    for n in range(60):
        if n == 20:
            rig.join(2, "G722")
            rig.join(3, "PCMU")
        if n == 40:
            rig.plane.close_leg(2)
            rig.plane.close_leg(3)
        rig.tick(rig.hums(1, n, 400))
    heard = rig.heard_since(0, 5).astype(np.float64)
    assert np.abs(np.diff(heard)).max() < 1.5 * 8_000 * 2 * np.pi * 400 / 16_000
    assert np.abs(heard.reshape(-1, 320)).max(axis=1).min() > 6_000


def test_when_the_last_wideband_leg_is_gone_nothing_more_is_sent_for_it() -> None:
    rig = conference("OPUS", "PCMU")
    rig.tick()
    assert len(rig.plane.wide.out.slots) == 1
    rig.plane.close_leg(0)
    rig.tick()
    assert len(rig.plane.wide.out.slots) == 0
    assert not rig.plane.wide


def test_nonsense_is_counted_and_the_others_go_on() -> None:
    rig = conference("OPUS", "L16", "PCMU")
    rng = np.random.default_rng(7)
    for n in range(30):
        rig.tick(
            rig.packet(0, n, bytes([0x78]) + rng.bytes(60), ts=n * 960),
            rig.packet(1, n, b"\x01", ts=n * 320),  # half a sample
            rig.packet(2, n, bytes(900)),  # longer than G.711 can be
        )
    assert rig.count("payload_length") == 60
    for n in range(30, 60):
        rig.tick(rig.packet(0, n, b"\xff\xff\x00", ts=n * 960), rig.hums(1, n, 400))
    assert rig.count("payload_length") + rig.count("bad_payload") > 60
    assert level(rig.heard_since(2, 40), 400, 8_000) > 7_000


def test_before_any_wideband_leg_long_packets_are_refused_as_ever() -> None:
    rig = conference("PCMU", "PCMU")
    rig.tick(rig.packet(0, 0, bytes(900)))
    assert rig.count("oversize") == 1


def test_a_leg_without_a_group_hears_nothing_and_is_not_heard() -> None:
    """D3."""
    rig = conference("G722", "L16")
    rig.join(2, "OPUS", group=-1)
    for n in range(20):
        rig.tick(rig.hums(2, n, 400), rig.hums(1, n, 600))
    assert not rig.heard_since(1, 0).any()
    assert level(rig.heard_since(0, 5), 400, 16_000) < 50
    assert np.abs(rig.heard_since(2, 0)).max() <= 2


def test_reports_tell_jitter_and_time_on_the_codecs_clock() -> None:
    """RFC 3550 §6.4.1: both are in units of the RTP clock."""
    rig = conference("OPUS", "PCMU")
    for n in range(30):
        rig.tick(rig.hums(0, n, 400), rig.hums(1, n, 400))
    plane = rig.plane
    plane.reception.jitter[:2] = 16 * 24  # 3 ms
    plane.tick_no = 1
    data = np.zeros((64, REPORT_BYTES_MAX), np.uint8)
    words = {}
    for _ in range(60):
        written = plane.write_reports(rig.now_ns, data)
        for row, slot in enumerate(written.legs.tolist()):
            words[slot] = data[row].view(">u4").copy()
        plane.tick_no += 1
    assert int(words[0][4]) == rig.stamps[0][-1]
    assert int(words[0][10]) == 24 * 6
    assert int(words[1][10]) == 24


def test_which_library_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_library("OPUS") == ""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert missing_library("OPUS") == "opuslib_next"
    assert missing_library("G722") == "G722"
    assert missing_library("L16") == ""
    assert missing_library("PCMU") == ""


def test_a_payload_of_g711_passes_bit_exact_beside_wideband_legs() -> None:
    rig = conference("PCMU", "PCMU")
    rig.join(2, "OPUS")
    rng = np.random.default_rng(8)
    sent = [rng.bytes(FRAME) for _ in range(20)]
    got = b""
    for n, payload in enumerate(sent):
        rig.tick(rig.packet(0, n, payload))
        got += rig.payload(1)
    assert got[FRAME:] == b"".join(sent[:-1])
