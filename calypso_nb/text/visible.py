"""Text by agents made safe to look at: what would be obeyed or be invisible is shown instead."""

from __future__ import annotations

import re
import unicodedata

# Only these need a look: most text is ASCII.
_UNSURE = re.compile(r"[^\x20-\x7e]")
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# They join letters and emoji, and do no more than that.
_JOINERS = "\u200c\u200d"


def visible(text: str) -> str:
    r"""The text on one line, with control and bidirectional characters written out, and all else as it is."""
    return _UNSURE.sub(_shown, text)


def _shown(match: re.Match[str]) -> str:
    character = match[0]
    if unicodedata.category(character) not in _HIDDEN or character in _JOINERS:
        return character
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"<U+{code:04X}>"
