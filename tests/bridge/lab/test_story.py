"""Reading stories: what is right is read whole, what is wrong is told with line and suggestion."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from billing import words as billing_words
from bridge.lab.bills import JURISDICTIONS
from bridge.lab.reading import load_story
from bridge.lab.schema import story_schema
from bridge.lab.selection import load_checked
from bridge.lab.source import NODES_MAX, StoryRefused
from bridge.lab.steps import STEP_KEYS, AdvanceStep, CallerStep, TogetherStep
from bridge.lab.story import Story
from bridge.lab.verdicts import Check, StoryResult, Verdict, add_unreached, checks_of
from bridge.lab.words import SETTLED_REASONS

GOOD = """\
scenario: Late organizer is charged for those who waited
rules: [R5, R7, B3]
session: {toll_free: [US], start: on_command}
starts_at: 2026-02-10T09:00-05:00
settings: {waiting_room.timeout_s: 300, rtp.timeout_s: 1.5}
callers:
  ann:    {via: toll-free, country: US, from: "+12125550111", codec: PCMU, voice: tone 440}
  olivia: {via: voip, role: organizer}
steps:
  - ann: join
  - advance: 9:59.999
  - olivia: join
  - expect: {waiting: [ann], hosting: [olivia]}
  - expect: {olivia: {hears: [hold-music], not_hears: [ann]}}
  - expect: {left: {ann: waiting-timeout}}
  - ann: say tone 900 for 2s
  - advance: to ann.warning
  - {ann: press 12#, olivia: mute}
  - [ann, olivia]: hang up
  - cancel
expect:
  bill: {minutes: {toll_free: 7}, total: 0.42 USD, lines: [{country: US, amount: 0.42}]}
  events: [leg.waiting, session.cancelled]
  never: [session.started]
"""


HEARS = "hears: [hold-music], not_hears: [ann]"
NEVER = "never: [session.started]"


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "story.yaml"
    file.write_text(text)
    return file


def faults(tmp_path: Path, text: str) -> list[str]:
    file = written(tmp_path, text)
    with pytest.raises(StoryRefused) as refused:
        load_checked(file)
    return [message.removeprefix(f"{file}:") for message in refused.value.messages()]


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) >= 1
    return GOOD.replace(old, new, 1)


def test_a_whole_story_is_read(tmp_path: Path) -> None:
    story = load_checked(written(tmp_path, GOOD))
    assert story.voices()["ann"].tone_hz == 440
    assert story.voices()["olivia"].tone_hz == 510
    assert story.begins == 1_770_732_000_000
    assert isinstance(story.steps[0], CallerStep)
    assert story.steps[1] == AdvanceStep(line=11, text="advance: 9:59.999", by_ms=599_999)
    assert isinstance(story.steps[8], TogetherStep)
    assert story.steps[6].line == 16
    assert story.expect is not None
    (bill,) = story.expect.bill[""]
    assert bill.total is not None
    assert bill.total.amount == Decimal("0.42")
    assert story.expect.never == ("session.started",)


def test_reasons_may_be_written_with_hyphen_or_underscore(tmp_path: Path) -> None:
    story = load_story(written(tmp_path, changed("waiting-timeout", "waiting_timeout")))
    assert "left.ann" in [check.name for check in checks_of(story)]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("rules:", "rulez:", "2: unknown key 'rulez', did you mean 'rules'?"),
        ("[R5,", "[X5,", "2: 'X5' is no rule: R, D or B and a number, as in domain.md"),
        ("via: voip", "via: vopi", "8: unknown way to call in 'vopi', did you mean 'voip'?"),
        ("via: voip", "via: call-me, country: US", "8: whom Call Me calls is a participant (R14)"),
        ("via: toll-free", "via: call-me, codec: PCMA", "7: "),
        ("via: toll-free", "via: call-me", "10: ann is called: `call-me ann`, then `answer`"),
        ("PCMU", "g722", "7: unknown codec 'g722', did you mean 'G722'?"),
        ("tone 440", "tone 6200", "7: a caller in PCMU can say no tone above 3400 Hz"),
        ("PCMU", "PCMU, ptime: 25ms", "7: '25ms' is no length of a packet: 10ms, 20ms"),
        ("PCMU", "OPUS, ptime: 30ms", "7: OPUS has no packets of 30 ms"),
        ("PCMU", "PCMU, agent: pjsip, ptime: 30ms", "7: PJSIP callers send packets of 20 ms"),
        ("PCMU", "PCMU, invite: twise", "7: unknown number of INVITEs 'twise', did you mean"),
        ("PCMU", "PCMU, agent: pjsip, invite: twice", "7: PJSIP callers call once"),
        ("tone 440}", "nothing, agent: pjsip}", "7: PJSIP callers send silence, not nothing"),
        ("tone 440", "tone 440 at 30 dBFS", "7: 30 dBFS is out of range: -30 to 20 dBFS; above 0"),
        ("tone 440", "tone 440 at loud", "7: unknown voice 'tone 440 at loud': write 'tone 440'"),
        ("PCMU", "PCMX", "7: unknown codec 'PCMX', did you mean 'PCMU'?"),
        ("tone 440", "nowhere.wav", "7: voice: "),
        ("tone 440", "speach", "7: unknown voice 'speach': write 'tone 440', 'tone 440 at"),
        ("hears: [hold-music], not", "hears: [hold-music], quality: 4, not", "14: only who speaks"),
        ("hears: [hold-music], not", "quality: 4, not", "14: one voice is scored"),
        ("tone 440", "tone 44", "7: tone 44 is out of range: 300 to 7000 Hz"),
        ("country: US", "country: UX", "7: unknown country 'UX'"),
        ("country: US, ", "", "7: a toll-free caller needs the country whose number he dials"),
        ("via: voip", "via: voip, country: US", "8: a VoIP caller dials no country's number"),
        ("via: voip", "via: voip, count: 3", "8: a crowd cannot be the organizer"),
        ("via: voip", "via: voip, voice: tone 470", "8: tones of ann (440 Hz) and olivia (470 Hz)"),
        ("via: voip", "via: voip, agent: pjsop", "8: unknown agent 'pjsop', did you mean 'pjsip'?"),
        ("PCMU", "G729, agent: pjsip", "7: PJSIP has no G729: use agent 'vector'"),
        ("via: voip", "via: voip, agent: pjsip}\n  c: {via: voip, agent: pjsip, count: 13", "9: "),
        ("+12125550111", "2125550111", "7: '2125550111' is no number: write +12125550111"),
        ("  olivia:", "  Olivia:", "8: 'Olivia' cannot be a caller's name"),
        ("- ann: join", "- an: join", "10: unknown step or caller 'an', did you mean 'ann'?"),
        ("- ann: join", "- ann: joi", "10: unknown step 'joi', did you mean 'join'?"),
        ("- ann: join", "- ann: press 12x", "10: '12x' are no keys"),
        ("- ann: join", "- ann: say tone 440", "10: 'say tone 440': write"),
        ("- ann: join", "- call-me ann", "10: Call Me calls who is `via: call-me`, not ann"),
        ("- ann: join", "- call-me an", "10: unknown caller 'an', did you mean 'ann'?"),
        ("- ann: join", "- ann: answer", "10: nobody calls ann: he is not via call-me"),
        ("- ann: join", "- ann: refuse 200", "10: 'refuse 200': write `refuse 404`"),
        ("- ann: join", "- kill workr", "10: unknown process 'workr', did you mean 'worker'?"),
        ("- ann: join", "- kill control", "11: the bridge is dead: `restart` comes first"),
        ("- cancel", "- kill control", "20: a killed bridge gives no bill: `restart` it"),
        ("- cancel", "- restart: now", "20: 'restart' takes nothing, not 'now'"),
        ("- ann: join", "- organizer: lock ann", "10: organizer: lock takes nothing, not 'ann'"),
        ("- ann: join", "- organizer: lok", "10: unknown organizer's command 'lok', did you mean"),
        ("- ann: join", "- ann: is refused", "10: 'is refused': write `is refused 404`, a SIP"),
        ("- ann: join", "- ann: is refused 200", "10: 'is refused 200': write `is refused 404`"),
        (
            "- ann: join",
            "- migrate: c1",
            "10: write `migrate: {product: integrated, ",
        ),
        (
            "- ann: join",
            "- migrate: {contract: c2}",
            "10: unknown contract 'c2'",
        ),
        ("- ann: join", "- migrate: {contract: c1, on: x}", "10: unknown key 'on'"),
        ("- ann: join", "- finalize: May", "10: 'May' is no month: write `finalize: 2026-01`"),
        ("PCMU", "G729", "10: ann offers G729 alone: he `is refused`"),
        ("session:", "account: {contract: c2}\nsession:", "3: unknown contract 'c2'"),
        ("session:", "account: {time_zone: Mars}\nsession:", "3: unknown time zone 'Mars'"),
        ("session:", "contracts: {c1: {}}\nsession:", "3: 'c1' cannot be a contract's name"),
        ("session:", "contracts: {x: 3}\nsession:", "3: a contract is a table such as"),
        ("session:", "contracts: []\nsession:", "3: must be a mapping from names to contracts"),
        (
            "session:",
            "contracts: {x: {currency: USD, toll_free: {US: cheap}}}\nsession:",
            "3: toll_free.US: ",
        ),
        ("- ann: join", "- organizer: kick bob", "10: unknown caller 'bob'"),
        ("- ann: join", "- {ann: join, wait: 2s}", "10: 'wait' cannot happen at the same time"),
        ("9:59.999", "9:61", "11: '9:61' is no time: minutes and seconds end at 59"),
        ("9:59.999", "4 m", "11: '4 m' is no time: write 4m, 61s, 10m0.9s or 9:59.999"),
        ("9:59.999", "0s", "11: '0s' is out of range: more than 0, at most 400d"),
        ("9:59.999", "0.0001s", "11: '0.0001s' is finer than a millisecond"),
        ("9:59.999", "401d", "11: '401d' is out of range"),
        ("9:59.999", "4s2m", "11: '4s2m' is no time: each unit once, the largest first"),
        ("to ann.warning", "to ann.warnin", "17: unknown moment of ann 'warnin', did you mean"),
        ("to ann.warning", "to month-ende", "17: unknown moment 'month-ende', did you mean 'month"),
        ("waiting: [ann]", "waitin: [ann]", "13: unknown key or caller 'waitin', did you mean"),
        ("waiting: [ann]", "waiting: [bob]", "13: unknown caller 'bob'"),
        (
            "hears: [hold-music]",
            "hears: [hold-musik]",
            "14: unknown caller or sound 'hold-musik', ",
        ),
        ("hears: [hold-music]", "hears: [ann]", "14: 'ann' stands in hears and in not_hears"),
        ("hears: [hold-music]", "hears: [olivia]", "14: 'olivia' would hear himself: nobody does"),
        ("waiting: [ann]", "waiting: [ann, ann]", "13: 'ann' stands twice in waiting"),
        ("hosting: [olivia]", "joined: [ann]", "13: 'ann' stands in waiting and in joined"),
        ("waiting: [ann]", "waiting: [ann], left: {ann: kicked}", "13: 'ann' stands in waiting"),
        ("events: [leg.waiting,", "events: [session.started,", "24: session.started stands in"),
        ("never:", "exactly: [session.started]\n  never:", "25: session.started stands in exactly"),
        ("{country: US, am", "{kind: tollfree, am", "22: unknown kind of charge 'tollfree', did"),
        ("{country: US, am", "{jurisdiction: x, am", "22: unknown jurisdiction 'x'"),
        ("- ann: join", "- ann: press #2", "10: press what? Keys that begin with # stand in quot"),
        ("via: voip", "via: voip, count: true", "8: count is a number, not true"),
        ("waiting-timeout", "waiting-timeot", "15: unknown reason 'waiting_timeot', did you mean"),
        ("minutes: {toll_free", "minutes: {tollfree", "22: unknown key 'tollfree', did you mean"),
        ("0.42 USD", "0.42", "22: '0.42' is no amount: write 0.42 USD"),
        ("total: 0.42 USD", "usf: 0.1", "22: '0.1' is no amount: write 0.42 USD"),
        ("bill: {", "bill: [{total: 1 USD}]\n#", "22: a list of bills has one for each"),
        ("session.started", "session.startd", "24: unknown event 'session.startd', did you mean"),
        ("never:", "waiting: [ann]\n  never:", "24: 'waiting' is over at the end: expect it in a"),
        (
            "never:",
            "recording: {length: 3s}\n  never:",
            "24: nothing is recorded: add `organizer: ",
        ),
        (
            "start: on_command",
            "start: on_comand",
            "3: session.start: unknown word 'on_comand', did",
        ),
        ("09:00-05:00", "09:00", "4: '2026-02-10T09:00' has no UTC offset"),
        (
            "waiting_room.timeout_s",
            "waiting_room.timeout",
            "5: waiting_room.timeout: 300: expected",
        ),
        (
            "settings:",
            "network: {ann2: {loss: 1%}}\nsettings:",
            "5: unknown caller 'ann2', did you mean 'ann'?",
        ),
        ("rules:", "network: {ann: {loss: 1}}\nrules:", "2: 1 is no share: write 1%"),
        ("rules:", "network: {ann: {}}\nrules:", "2: says nothing: give loss, jitter, delay"),
        ("rules:", "network: {ann: {lost: 1%}}\nrules:", "2: unknown key 'lost', did you mean"),
        ("rules:", "network: {ann: {burst: 3}}\nrules:", "2: bursts of loss need a share"),
        ("rules:", "network: {ann: {drift: fast}}\nrules:", "2: 'fast' is no drift: write"),
        ("rules:", "network: {ann: {bandwidth: 0}}\nrules:", "2: 0 is no bandwidth: write"),
        ("rules:", "network: {ann: {delay: 6s}}\nrules:", "2: a packet that is more than 5s"),
        (
            NEVER,
            "exactly: [leg.joind]",
            "24: unknown event 'leg.joind', did you mean 'leg.joined'?",
        ),
        (NEVER, "sip: {anne: [INVITE]}", "24: unknown caller 'anne', did you mean 'ann'?"),
        (NEVER, "sip: {ann: [INVIT]}", "24: unknown SIP method 'INVIT', did you mean 'INVITE'?"),
        (NEVER, "sip: {ann: [999]}", "24: '999' is no SIP message: write INVITE, 200, 4xx, "),
        (NEVER, "sip: {ann: [200 to BY]}", "24: unknown SIP method 'BY', did you mean 'BYE'?"),
        (NEVER, "sip: {ann: {order: [BYE]}}", "24: unknown key 'order', did you mean 'in_order'?"),
        (NEVER, "sip: {ann: {}}", "24: says nothing: give in_order, never, times, status, "),
        (NEVER, "sip: {ann: {times: {INVITE: x}}}", "24: "),
        (NEVER, "sip: {ann: {codec: PCMX}}", "24: unknown codec 'PCMX', did you mean 'PCMU'?"),
        (NEVER, "metrics: {leg: 3}", "24: unknown metric 'leg', did you mean 'legs'?"),
        (NEVER, "metrics: {legs: many}", "24: 'many' is no range: write 3, 1..3, 1.. or ..3"),
        (NEVER, "metrics: {legs: 3..1}", "24: '3..1' ends before it begins"),
        (NEVER, "metrics: {'legs{king=\"x\"}': 1}", "24: legs has no label 'king', did you mean"),
        (HEARS, "gap: 40ms", "14: whose gap is measured? give them in hears"),
        (HEARS, "delay: 40ms", "14: whose delay is measured? give them in hears"),
        (HEARS, "hears: [ann], gap: soon", "14: 'soon' is no time"),
        (HEARS, "hears: [hold-music], gap: 40ms", "14: hold-music sounds no tone: only of tones"),
        (
            HEARS,
            "hears: [hold-music], delay: 40ms",
            "14: 'hold-music' is no caller: only callers say",
        ),
        (HEARS, "hears: [ann], level: {an: -16}", "14: 'an' is not in hears: who is not heard has"),
        (HEARS, "hears: [ann], level: -16", "14: write level: {ben: -18..-14}, in dBFS"),
        (HEARS, "echo: loud", "14: 'loud' is no echo: write 30dB, from 10dB to 40dB"),
        (HEARS, "echo: 60dB", "14: '60dB' is no echo: write 30dB, from 10dB to 40dB"),
        (HEARS, "packets: 25ms", "14: '25ms' is no length of a packet: 10ms, 20ms, ... or 60ms"),
        (HEARS, "clipped: maybe", "14: olivia.clipped: "),
        (
            "via: voip",
            'via: voip, from: "+12125550111"',
            "8: olivia calls from +12125550111, as ann does: they could not be told apart",
        ),
        (
            "  olivia:",
            "  zoe: {via: toll-free, country: US}\n"
            '  yve: {via: voip, from: "+12125550101"}\n  olivia:',
            "9: yve calls from +12125550101, as zoe does",
        ),
        (
            "  olivia:",
            "  crowd: {via: toll, country: US, count: 9}\n"
            '  zoe: {via: voip, from: "+12126010008"}\n  olivia:',
            "9: zoe calls from +12126010008, as crowd does",
        ),
        (
            '"+12125550111"',
            "anonymous}\n  shy: {via: toll, country: US, from: anonymous",
            "8: shy calls from anonymous, as ann does",
        ),
        ("- ann: join", "- {[]: join}", "10: nobody is named who does 'join': write [ann, ben]: "),
        ("- ann: join", "- add numbers: []", "10: say whose numbers: `add numbers: [FR]`"),
        ("waiting: [ann]", "waiting: ", "13: waiting is empty: write what is expected, write []"),
        ("left: {ann: waiting-timeout}", "left: {}", "15: left is empty: write what is expected"),
        (NEVER, "never: []", "24: never is empty: write what is expected, or leave it out"),
        (NEVER, "exactly: []", "24: exactly is empty"),
        (NEVER, "metrics: {}", "24: metrics is empty"),
        (NEVER, "sip: {}", "24: sip is empty"),
        (NEVER, "sip: {ann: []}", "24: in_order is empty"),
        (NEVER, "sip: {ann: {status: }}", "24: status is empty"),
        (NEVER, "sip: {ann: {times: {}}}", "24: times is empty"),
        (NEVER, "recording: ", "24: recording is empty"),
        (NEVER, "recording: {}", "24: recording is empty"),
        (NEVER, "recording: {silent: []}", "24: silent is empty"),
        (HEARS, "hears: [ann], not_hears: []", "14: not_hears is empty"),
        (HEARS, "hears: [ann], gap: ", "14: gap is empty"),
        ("total: 0.42 USD", "total: ", "22: total is empty"),
        ("total: 0.42 USD", "reasons: {}", "22: reasons is empty"),
        ("lines: [{country: US", "lines: [{kind: , country: US", "22: kind is empty"),
        ("bill: {", "bill: {2026-01: {}}\n#", "22: says nothing: give minutes, total, reasons"),
        ("- cancel", "- cancel: now", "20: 'cancel' takes nothing, not 'now'"),
        ("- cancel", "- {}", "20: a step is one of"),
        ("- cancel", "- expect: {}", "20: says nothing: an expectation that checks nothing cannot"),
        ("- cancel", "- expect: {ann: {}}", "20: says nothing: give hears, not_hears"),
        ("scenario: Late", "scenario: x\nscenario: Late", "2: key 'scenario' stands twice"),
    ],
)
def test_faults_name_the_line_and_suggest(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    found = faults(tmp_path, changed(old, new))
    assert any(fault.startswith(expected) for fault in found), found


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = changed("- ann: join", "- an: join").replace("rules:", "rulez:").replace("UTC", "")
    assert len(faults(tmp_path, text.replace("via: voip", "via: vopi"))) == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1: is empty"),
        ("- a\n", "1: a story is a mapping: scenario, callers, steps, expect"),
        ("scenario: [\n", "2: is not YAML: "),
        ("scenario: x\n\tsteps: y\n", "2: is not YAML: "),
        ("scenario: only a sentence\n", "1: callers is missing"),
        ("scenario: no steps\ncallers: {ann: {via: voip}}\n", "1: steps must be a list"),
        ("a: &a [*a]\n", "1: "),
        (f"a: [{'x,' * (NODES_MAX + 1)}]\n", "1: nested too deep"),
        (f"a: 1\nb: {'[' * 3_000}{']' * 3_000}\n", "2: nested too deep"),
        (f"a: 1\nb: {'{a: ' * 3_000}1{'}' * 3_000}\n", "2: nested too deep"),
        (changed("start: on_command", f"access_code: {'9' * 5_000}"), "3: session.access_code: "),
        (changed("start: on_command", f"participants_max: {'9' * 5_000}"), "3: session.partici"),
        (changed("start: on_command", "participants_max: !!int ²"), "3: session.participants_max"),
        (changed("tone 440", '"a\\0.wav"'), "7: voice: "),
    ],
)
def test_what_is_no_story_is_refused_with_its_line(
    tmp_path: Path, text: str, expected: str
) -> None:
    assert any(fault.startswith(expected) for fault in faults(tmp_path, text))


def test_a_file_that_cannot_be_read_or_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoryRefused, match="cannot be read"):
        load_story(tmp_path / "missing.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StoryRefused, match="is not UTF-8"):
        load_story(tmp_path / "binary.yaml")


def test_a_story_that_checks_nothing_is_refused(tmp_path: Path) -> None:
    text = "scenario: Nothing\ncallers: {ann: {via: voip}}\nsteps: [{ann: join}]\n"
    assert faults(tmp_path, text) == ["1: expects nothing: a story that checks nothing cannot fail"]


def test_an_empty_expect_at_the_end_is_refused(tmp_path: Path) -> None:
    text = GOOD[: GOOD.index("\nexpect:")] + "\nexpect:\n"
    assert faults(tmp_path, text) == [
        "21: expect is empty: write what must be true, or leave it out"
    ]


def test_a_list_that_is_empty_may_say_that_there_is_none(tmp_path: Path) -> None:
    text = changed("{waiting: [ann], hosting: [olivia]}", "{waiting: [], hosting: [], joined: []}")
    text = text.replace("lines: [{country: US, amount: 0.42}]", "lines: []")
    names = [check.name for check in checks_of(load_checked(written(tmp_path, text)))]
    assert names[:3] == ["waiting", "hosting", "joined"]
    assert "bill.lines" in names


def test_norway_is_a_country_and_not_a_boolean(tmp_path: Path) -> None:
    text = changed("country: US", "country: NO").replace("toll_free: [US]", "toll_free: [NO]")
    story = load_story(written(tmp_path, text))
    assert story.callers["ann"].country == "NO"
    assert story.session.toll_free == ("NO",)


def test_contracts_of_ones_own_and_bills_by_seller_are_read(tmp_path: Path) -> None:
    text = changed(
        "session:",
        "account: {product: ovi, contract: mine}\n"
        "contracts: {mine: {currency: USD, toll_free: {US: 1}, minimum_s: 30, increment_s: 6}}\n"
        "session:",
    )
    text = text.replace(
        "bill: {minutes: {toll_free: 7}, total: 0.42 USD, lines: [{country: US, amount: 0.42}]}",
        "bill: {2026-02: [{seller: A, usf: 0.37 USD}, {seller: B, label: X}]}",
    )
    story = load_checked(written(tmp_path, text))
    assert story.contracts["mine"]["toll_free"] == {"US": "1"}
    assert story.expect is not None
    assert [bill.seller for bill in story.expect.bill["2026-02"]] == ["A", "B"]
    names = [check.name for check in checks_of(story) if check.name.startswith("bill")]
    prefix = "bill.2026-02."
    assert names == [
        prefix + name for name in ("sellers", "A.seller", "A.usf", "B.label", "B.seller")
    ]


def test_every_expectation_is_a_check_and_unreached_ones_fail(tmp_path: Path) -> None:
    story = load_story(written(tmp_path, GOOD))
    names = [check.name for check in checks_of(story)]
    assert names == [
        *("waiting", "hosting", "olivia", "left.ann", "events", "never"),
        *("bill.lines", "bill.minutes", "bill.total"),
    ]
    result = StoryResult(story, verdicts=[Verdict(13, "waiting", True, "ann", "ann")])
    add_unreached(result)
    assert not result.ok
    unreached = [Check(verdict.line, verdict.name) for verdict in result.failures()]
    assert unreached == [check for check in checks_of(story) if check.name != "waiting"]


def test_a_result_without_verdicts_is_no_success(tmp_path: Path) -> None:
    assert not StoryResult(load_story(written(tmp_path, GOOD))).ok


PJSIP = """\
scenario: Phones of another make
callers:
  ann: {via: voip, agent: pjsip}
  ben: {via: voip, codec: G722}
  all_of_them: {via: voip, count: 3}
steps:
  - STEP
  - expect: {joined: [ann]}
"""


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("ann: dial and cancel", "7: a PJSIP caller cannot `dial and cancel` so: use agent 'vect"),
        ("ann: say nothing for 2s", "7: a PJSIP caller cannot `say` so: use agent 'vector'"),
        ("expect: {sip: {all_of_them: [BYE]}}", "7: all_of_them is a crowd: the SIP of single"),
        ("expect: {ann: {packets: 20ms}}", "7: ann is a PJSIP caller: this is measured of agent"),
        ("expect: {ann: {echo: 20dB}}", "7: ann cannot say the sweep that is timed: a single"),
        ("expect: {ben: {echo: 20dB}}", "7: ben cannot say the sweep that is timed in G722: use"),
        ("expect: {all_of_them: {echo: 20dB, hears: [ann]}}", "7: all_of_them is a crowd: this is"),
    ],
)
def test_what_cannot_be_measured_of_a_caller_is_refused(
    tmp_path: Path, step: str, expected: str
) -> None:
    found = faults(tmp_path, PJSIP.replace("STEP", step))
    assert any(fault.startswith(expected) for fault in found), found


def test_the_sip_of_a_pjsip_caller_may_be_looked_at(tmp_path: Path) -> None:
    story = load_checked(written(tmp_path, PJSIP.replace("STEP", "expect: {sip: {ann: [BYE]}}")))
    assert [set(one.sip) for one in story.expects()] == [{"ann"}, set()]


def test_the_words_of_settlement_are_those_of_billing() -> None:
    assert set(SETTLED_REASONS) == set(billing_words.REASONS)
    assert set(JURISDICTIONS) == set(billing_words.JURISDICTIONS)


def test_the_schema_knows_every_key_of_the_format() -> None:
    schema = story_schema()
    json.dumps(schema)
    steps = schema["$defs"]["Step"]["anyOf"][-1]["properties"]
    assert set(steps) == set(STEP_KEYS)
    assert set(schema["properties"]) == set(Story.model_fields)
    assert "from" in schema["$defs"]["CallerSpec"]["properties"]
    assert "waiting" in schema["$defs"]["Expect"]["properties"]
    assert "audio" not in schema["$defs"]["Expect"]["properties"]
