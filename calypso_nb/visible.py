"""Text by agents made safe to look at: what would be obeyed or be invisible is shown instead."""

import re
import unicodedata

# Only these need a look: most text is ASCII.
_UNSURE = re.compile(r"[^\x20-\x7e]")
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# They join letters and emoji, and do no more than that.
_JOINERS = "\u200c\u200d"
# A skin tone with no emoji before it, half a flag: terminals don't agree on how wide that is.
_LONE = re.compile(
    "(?P<flag>[\U0001f1e6-\U0001f1ff]{2})|[\U0001f1e6-\U0001f1ff]"
    "|(?<![\u261d-\u270d\U0001f385-\U0001f3fa\U0001f400-\U0001faff])[\U0001f3fb-\U0001f3ff]"
)


def visible(text: str) -> str:
    r"""Return the text on one line, with control, bidirectional and half emoji characters written out."""
    return _UNSURE.sub(_shown, _LONE.sub(lambda match: match["flag"] or _code(match), text))


def _shown(match: re.Match[str]) -> str:
    character = match[0]
    if unicodedata.category(character) not in _HIDDEN or character in _JOINERS:
        return character
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else _code(match)


def _code(match: re.Match[str]) -> str:
    return f"<U+{ord(match[0]):04X}>"
