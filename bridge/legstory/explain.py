"""Where a story's two halves come from: billing's explanation, and the diary on the shelf."""

from typing import Any

from billing import BillingInputError
from bridge.config import Settings
from bridge.errors import InputError
from bridge.invoicing import settled
from bridge.legstory.build import Story, leg_story
from bridge.legstory.shelf import shelf_file, taken_down


def explanation_of(settings: Settings, leg: str) -> dict[str, Any] | None:
    """Return billing's explanation of a leg, all facts taken in; None when it knows none."""
    with settled(settings) as billing:
        try:
            return billing.explain(leg).to_dict()
        except BillingInputError:
            return None


def story_from_store(settings: Settings, leg: str) -> Story:
    """Return a leg's story from what is on disk; blocks.

    Raises:
        InputError: neither billing nor the shelf has heard of the leg.
    """
    explanation = explanation_of(settings, leg)
    record = taken_down(shelf_file(settings.store.outbox_url), leg)
    if explanation is None and record is None:
        raise InputError("leg", leg, "a leg that facts have come for, or whose story is kept")
    return leg_story(leg, record, explanation)
