"""Which stories are meant: files and folders, and `-k` expressions; runs nothing."""

import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from bridge.config import SettingsError
from bridge.errors import InputError
from bridge.lab.clips import known_pcm
from bridge.lab.host import settings_of
from bridge.lab.reading import load_story
from bridge.lab.source import StoryRefused
from bridge.lab.story import Story


def find_files(paths: Sequence[Path]) -> list[Path]:
    """Return the story files of files and folders, each once, in a stable order.

    Raises:
        InputError: a path does not exist, or a folder holds no story.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            files = sorted([*path.rglob("*.yaml"), *path.rglob("*.yml")])
            if not files:
                raise InputError("scenario", str(path), "a folder with .yaml files")
            found.update(dict.fromkeys(files))
        elif path.is_file():
            found[path] = None
        else:
            raise InputError("scenario", str(path), "a file or folder that exists")
    return list(found)


def load_all(files: Iterable[Path]) -> tuple[list[Story], list[str]]:
    """Return the stories that can be used, and what is wrong with the others."""
    stories, faults = [], []
    for file in files:
        try:
            stories.append(load_checked(file))
        except StoryRefused as refused:
            faults += refused.messages()
    return stories, faults


def load_checked(file: Path) -> Story:
    """Return a story whose sounds and settings are known too; raise StoryRefused otherwise."""
    story = load_story(file, sounds=known_pcm())
    try:
        settings_of(story, Path(tempfile.gettempdir()) / "never-opened.db")
    except SettingsError as error:
        for line in error.lines:
            key = next((key for key in story.settings if key in line), None)
            path = ("settings", key) if key else ("settings",)
            story.source.complain(path, line.removeprefix("settings: "))
        raise StoryRefused(file, story.source.problems) from None
    return story


def with_tags(stories: Sequence[Story], tags: Sequence[str]) -> list[Story]:
    """Return the stories that have one of the tags; all when no tag is given.

    Raises:
        InputError: no story has a tag that was named.
    """
    known = {tag for story in stories for tag in story.tags}
    for tag in tags:
        if tag not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise InputError("--tag", tag, f"a tag that a story has: {listed}")
    return [story for story in stories if not tags or set(tags) & set(story.tags)]


def select(stories: Sequence[Story], expression: str) -> list[Story]:
    """Return the stories that a `-k` expression picks: words, `and`, `or`, `not`, brackets.

    Raises:
        InputError: the expression cannot be read.
    """
    if not expression.strip():
        return list(stories)
    tokens = re.findall(r"[()]|[^\s()]+", expression.lower())
    return [story for story in stories if _Expression(tokens, expression).holds(_text_of(story))]


def _text_of(story: Story) -> str:
    return " ".join([str(story.file), story.scenario, *story.rules, *story.tags]).lower()


class _Expression:
    """One reading of a `-k` expression over one text; a word holds when the text contains it."""

    def __init__(self, tokens: Sequence[str], source: str) -> None:
        self.rest = list(tokens)
        self.source = source

    def holds(self, text: str) -> bool:
        """Return whether the text is picked."""
        result = self._either(text)
        if self.rest:
            raise self._unreadable()
        return result

    def _either(self, text: str) -> bool:
        result = self._both(text)
        while self.rest[:1] == ["or"]:
            self.rest.pop(0)
            result |= self._both(text)
        return result

    def _both(self, text: str) -> bool:
        result = self._one(text)
        while self.rest[:1] == ["and"]:
            self.rest.pop(0)
            result &= self._one(text)
        return result

    def _one(self, text: str) -> bool:
        token = self.rest.pop(0) if self.rest else ")"
        if token == "not":
            return not self._one(text)
        if token == "(":
            result = self._either(text)
            if self.rest[:1] != [")"]:
                raise self._unreadable()
            self.rest.pop(0)
            return result
        if token in {")", "and", "or"}:
            raise self._unreadable()
        return token in text

    def _unreadable(self) -> InputError:
        return InputError("-k", self.source, "words with and, or, not and brackets")
