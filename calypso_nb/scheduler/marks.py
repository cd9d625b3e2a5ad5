"""What a scheduler writes into a task's tags, so that one listing tells it and people can take it back.

`run-agent`: it is being run, see its comments. `failed:2`: two runs have failed. `handed-over`: a run has
moved it to another queue, whose agents may take it although it is still assigned to the one who had it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["HANDED_OVER", "RUNNING", "failures", "marked"]

RUNNING = "run-agent"
HANDED_OVER = "handed-over"
_FAILED = re.compile(r"failed:([0-9]{1,6})")


def failures(tags: Sequence[str]) -> int:
    """How many runs of a task have failed.

    Example: `failures(("urgent", "failed:2"))` is 2
    """
    return max((int(match[1]) for tag in tags if (match := _FAILED.fullmatch(tag))), default=0)


def marked(
    tags: Sequence[str], *, failed: int, running: bool = False, handed_over: bool = False
) -> list[str]:
    """The tags with these marks, and without any earlier ones.

    Example: `marked(("urgent", "run-agent"), failed=1)` is `["urgent", "failed:1"]`
    """
    others = [tag for tag in tags if tag not in (RUNNING, HANDED_OVER) and not _FAILED.fullmatch(tag)]
    marks = {RUNNING: running, HANDED_OVER: handed_over, f"failed:{failed}": failed > 0}
    return [*others, *(mark for mark, wanted in marks.items() if wanted)]
