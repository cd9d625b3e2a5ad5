"""What in a comment asks something of a person."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Questions:
    """What a question is known by.

    - names: those that it may call, in any case
    - words: what a comment says that waits for a person, as whole words in capitals
    """

    names: frozenset[str]
    words: tuple[str, ...]

    @classmethod
    def of(cls, names: Iterable[str], words: Iterable[str]) -> Questions:
        """Return what questions to these names are known by; an empty name or word is none."""
        return cls(frozenset(filter(None, names)), tuple(filter(None, words)))

    def calls(self, text: str) -> bool:
        """Return whether a text calls one of the names, or asks it: `@name`, `name:`, `…, name?`."""
        # Looked for as they are first, which takes a tenth of the time, and most comments have none.
        lower = text.lower()
        return any(name in lower for name in self._lower) and bool(self._called.search(text))

    def said(self, text: str) -> str | None:
        """Return the first of the words that a text says, None for none."""
        if not any(word in text for word in self.words):
            return None
        found = self._said.search(text)
        return None if found is None else found[0]

    @cached_property
    def _said(self) -> re.Pattern[str]:
        return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, self.words))})(?![\w-])")

    @cached_property
    def _lower(self) -> frozenset[str]:
        return frozenset(name.lower() for name in self.names)

    @cached_property
    def _called(self) -> re.Pattern[str]:
        name = rf"(?<![\w.-])(?:{'|'.join(map(re.escape, sorted(self.names)))})(?![\w-])"
        asked = rf"{name}[^.!?\n]{{0,200}}\?|\?[^\w\n]{{1,5}}{name}"
        return re.compile(rf"(?<![\w.])@{name}|{name}\s?:(?!/)|{asked}", re.IGNORECASE)
