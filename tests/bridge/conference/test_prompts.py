"""Each prompt that the core may name is there to be played."""

from pathlib import Path

import pytest

import bridge.prompts
from bridge.conference import prompts
from bridge.conference.prompts import PROMPTS

CLIPS = Path(bridge.prompts.__file__).parent


@pytest.mark.parametrize("name", sorted(PROMPTS))
def test_every_prompt_has_its_clip(name: str) -> None:
    assert list(CLIPS.glob(f"*/{name}.wav"))


def test_the_set_holds_every_name() -> None:
    constants = [name for name in vars(prompts) if name.isupper() and name != "PROMPTS"]
    assert {getattr(prompts, name) for name in constants} == PROMPTS
