"""Where a story's two halves come from: billing's explanation, and the diary on the shelf."""

from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Any

from billing import BillingInputError
from bridge.config import Settings
from bridge.errors import InputError
from bridge.invoicing import settled
from bridge.legstory.build import Story, leg_story
from bridge.legstory.shelf import shelf_file, taken_down


def explanations_of(settings: Settings, legs: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return billing's explanations of legs, all facts taken in once, of those it knows."""
    found = {}
    with settled(settings) as billing:
        for leg in legs:
            with suppress(BillingInputError):
                found[leg] = billing.explain(leg).to_dict()
    return found


def explanation_of(settings: Settings, leg: str) -> dict[str, Any] | None:
    """Return billing's explanation of a leg, all facts taken in; None when it knows none."""
    return explanations_of(settings, [leg]).get(leg)


def stories_from_store(settings: Settings, legs: Collection[str]) -> dict[str, Story]:
    """Return the stories of legs from what is on disk, of those that are known; blocks."""
    explained = explanations_of(settings, legs)
    shelf = shelf_file(settings.store.outbox_url)
    records = {leg: taken_down(shelf, leg) for leg in legs}
    return {
        leg: leg_story(leg, record, explained.get(leg))
        for leg, record in records.items()
        if record is not None or leg in explained
    }


def story_from_store(settings: Settings, leg: str) -> Story:
    """Return a leg's story from what is on disk; blocks.

    Raises:
        InputError: neither billing nor the shelf has heard of the leg.
    """
    found = stories_from_store(settings, [leg])
    if leg not in found:
        raise InputError("leg", leg, "a leg that facts have come for, or whose story is kept")
    return found[leg]
