"""Each prompt that the core may name is there to be played."""

from pathlib import Path

import pytest

import bridge.prompts
from bridge.conference import prompts
from bridge.conference.prompts import NUMBERS, PROMPTS

CLIPS = Path(bridge.prompts.__file__).parent


@pytest.mark.parametrize("name", sorted(PROMPTS | NUMBERS))
def test_every_prompt_has_its_clip(name: str) -> None:
    assert list(CLIPS.glob(f"**/{name}.wav"))


def test_the_set_holds_every_name() -> None:
    values = [value for name, value in vars(prompts).items() if name.isupper()]
    assert {value for value in values if isinstance(value, str)} - {prompts.CLIP} == PROMPTS
    assert prompts.SOUNDS <= PROMPTS


@pytest.mark.parametrize(
    ("value", "clips"),
    [
        (0, ["n-0"]),
        (1, ["n-1"]),
        (99, ["n-99"]),
        (100, ["n-100"]),
        (101, ["n-100-and", "n-1"]),
        (500, ["n-500"]),
        (599, ["n-500-and", "n-99"]),
        (600, ["n-6", "n-0", "n-0"]),
        (5_000, ["n-5", "n-0", "n-0", "n-0"]),
    ],
)
def test_numbers_are_said_by_clips_that_are_there(value: int, clips: list[str]) -> None:
    assert list(prompts.number(value)) == clips
    assert NUMBERS.issuperset(clips)
