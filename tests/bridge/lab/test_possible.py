"""What no bridge, clock or bill can give is refused when the story is read."""

from pathlib import Path

import pytest

from bridge.lab.selection import load_checked
from bridge.lab.source import StoryRefused
from bridge.lab.steps import MigrateStep

STORY = """\
scenario: All of it can be
starts_at: 2026-02-10T09:00-05:00
settings: {rtp.timeout_s: 5}
callers:
  ann: {via: toll-free, country: US}
  ben: {via: voip, codec: G722}
steps:
  - ann: join
  - STEP
  - expect: {waiting: [ann]}
"""


def read_with(tmp_path: Path, old: str, new: str) -> list[str]:
    """Return what is wrong with the story after one change, without its file."""
    file = tmp_path / "story.yaml"
    assert old in STORY
    file.write_text(STORY.replace(old, new).replace("STEP", "wait: 1s"))
    try:
        load_checked(file)
    except StoryRefused as refused:
        return [message.removeprefix(f"{file}:") for message in refused.messages()]
    return []


def test_a_story_that_can_be_is_read(tmp_path: Path) -> None:
    assert read_with(tmp_path, "ann", "ann") == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("country: US", "country: MN", "5: the number plan has no toll-free number of MN: another"),
        ("STEP", "ann: say missing.wav for 1s", "9: voice: "),
        ("STEP", "ben: say speech for 1s", "9: ben speaks G722: who says what is no tone does so"),
        ("STEP", "[{ann: mute}, {ben: say missing.wav for 1s}]", "9: voice: "),
        ("2026-02-10T09:00-05:00", "0001-01-01T00:00+00:00", "2: '0001-01-01T00:00+00:00' is out"),
        ("2026-02-10T09:00-05:00", "9999-12-31T23:59+00:00", "2: '9999-12-31T23:59+00:00' is out"),
        ("2026-02-10T09:00-05:00", "2099-01-01T00:00+00:00", "2: '2099-01-01T00:00+00:00' is out"),
        ("2026-02-10T09:00-05:00", "2098-12-31T09:00-05:00", ""),
        ("STEP", "finalize: 0000-01", "9: '0000-01' is no month: write `finalize: 2026-01`"),
        ("waiting: [ann]", "bill: {0000-01: {total: 0.00 USD}}", "10: unknown key '0000-01'"),
        ("STEP", "migrate: {product: ovi, at: yesterday}", "9: 'yesterday' is no time: write 2026"),
        ("STEP", "migrate: {product: ovi, at: 2026-02-30}", "9: '2026-02-30' is no day: "),
        ("STEP", "migrate: {product: ovi, at: 1999-02-10}", "9: '1999-02-10' is no day: "),
        ("rtp.timeout_s: 5", "session: []", "3: 'session' is the lab's own: write `account`"),
        ("rtp.timeout_s: 5", "store.url: x", "3: 'store' is the lab's own: write `account`"),
    ],
)
def test_what_cannot_be_is_refused_at_its_line(
    tmp_path: Path, old: str, new: str, fault: str
) -> None:
    found = read_with(tmp_path, old, new)
    assert [one for one in found if one.startswith(fault)] or not (fault or found), found


def test_who_dials_something_else_needs_no_number_of_his_country(tmp_path: Path) -> None:
    assert read_with(tmp_path, "country: US", "country: MN, dials: nobody") == []


def test_a_clock_does_not_go_past_the_years_of_bills(tmp_path: Path) -> None:
    late = "2098-12-31T23:59+00:00"
    steps = "{advance: 300d}\n  - advance: to month-end\n  - {advance: 300d}"
    file = tmp_path / "story.yaml"
    file.write_text(STORY.replace("2026-02-10T09:00-05:00", late).replace("STEP", steps))
    with pytest.raises(StoryRefused, match="11: goes past the year 2098: start earlier"):
        load_checked(file)


@pytest.mark.parametrize(
    ("at", "kept"),
    [("2026-02-10", "2026-02-10"), ("2026-02-10T09:00-05:00", "2026-02-10T09:00:00-05:00")],
)
def test_a_migration_happens_at_a_day_or_a_time_as_billing_reads_them(
    tmp_path: Path, at: str, kept: str
) -> None:
    file = tmp_path / "story.yaml"
    file.write_text(STORY.replace("STEP", f"migrate: {{product: ovi, at: {at}}}"))
    assert [s.at for s in load_checked(file).steps if isinstance(s, MigrateStep)] == [kept]
