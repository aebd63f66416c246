"""Faults of a story are told all at once, in plain words, each where it stands."""

from pathlib import Path

import pytest

from bridge.lab.selection import load_checked
from bridge.lab.source import StoryRefused
from tests.bridge.lab.test_story import GOOD, changed, faults


def test_all_faults_are_told_at_once_beside_keys_that_are_not_known(tmp_path: Path) -> None:
    told = faults(
        tmp_path,
        changed("start: on_command", "start: on_comand, pin: 4, security_code: 1, toll_free: US")
        .replace("toll_free: [US], ", "", 1)
        .replace("rules: [R5, R7, B3]", "rules: R5\nnetwork: {ann: {loss: 101%, bandwith: 9}}"),
    )
    assert told == [
        "2: rules: must be a list: [R5]",
        "3: '101%' is no share: write 1%, from 0% to 100%",
        "3: unknown key 'bandwith', did you mean 'bandwidth'?",
        "4: session.security_code: 1 is not of the form ^\\d{3,20}$",
        "4: session.start: unknown word 'on_comand', did you mean 'on_command'?"
        " (of on_join, on_command)",
        "4: session.toll_free: must be a list: [US]",
        "4: unknown key 'pin'",
    ]


def test_each_fault_of_a_contract_is_told_where_it_stands(tmp_path: Path) -> None:
    contracts = """\
contracts:
  mine:
    currency: USX
    increment_s: 0
    toll_free: {US: -1}
  other: {curency: USD}
account: {contract: mine}
session:"""
    assert faults(tmp_path, changed("session:", contracts)) == [
        "5: currency: 'USX': expected an ISO 4217 code like USD",
        "6: increment_s: 0 is too little: at least 1",
        "7: toll_free.US: '-1': expected an amount that is not negative",
        "8: currency is missing",
        "8: unknown key 'curency', did you mean 'currency'?",
    ]


def test_a_step_that_is_refused_may_have_expected_something(tmp_path: Path) -> None:
    told = faults(
        tmp_path, GOOD[: GOOD.index("expect:\n")].replace("hears: [hold-music]", "hears: 5")
    )
    assert not [text for text in told if "expects nothing" in text]


def test_a_file_that_is_not_utf8_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "story.yaml"
    file.write_bytes(b"scenario: one\nrules: [R5]\n# caf\xe9\n")
    with pytest.raises(StoryRefused, match="yaml:3: is not UTF-8"):
        load_checked(file)


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("[ann, ann]: hang up", "'ann' is named twice in one step: write two steps"),
        ("[{ann: join}, {ann: mute}]", "'ann' is named twice in one step: write two steps"),
        ("{[ann, olivia]: join, ann: mute}", "'ann' is named twice in one step: write two steps"),
        ("organizer: kick", "organizer: kick whom? Write `organizer: kick NAME`"),
        ("kill bridge", "unknown process 'bridge' (of control, worker)"),
        ("organizer: kick bob", "unknown caller 'bob' (of ann, olivia)"),
    ],
)
def test_a_step_that_cannot_be_is_told_with_what_can(tmp_path: Path, step: str, told: str) -> None:
    assert faults(tmp_path, changed("- ann: join", f"- {step}")) == [f"10: {told}"]
