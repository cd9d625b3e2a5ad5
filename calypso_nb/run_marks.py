"""What a scheduler writes on a task: tags, so that a listing shows it, and a lease, which is a comment.

`run-agent`: it is being run, see its comments. `failed:2`: two runs have failed. `handed-over`: a run has
moved it to another queue, whose agents may take it although it is still assigned to its previous agent.
"""

import re
from collections.abc import Sequence

AUTHOR = "calypso-nb run-agent"
MAX_SECONDS = 3600
LEASE = re.compile(
    r"Lease (?P<run>[0-9a-f]{12}) of (?P<seconds>[0-9]{1,4}) s, sign [0-9]+: (?P<what>(?P<host>\S+) .*)"
)
FAILED_RUN = re.compile(r"Run [0-9a-f]{12} of [^\n]*?: (?:failed|over time) after ")
RUNNING = "run-agent"
HANDED_OVER = "handed-over"
FAILED_TAG = re.compile(r"failed:([0-9]{1,6})")


def failures(tags: Sequence[str]) -> int:
    """Return how many runs of a task have failed, by its tags."""
    return max((int(match[1]) for tag in tags if (match := FAILED_TAG.fullmatch(tag))), default=0)


def with_tags(
    tags: Sequence[str], *, failed: int, running: bool = False, handed_over: bool = False
) -> list[str]:
    """Return a task's tags with these of the scheduler's own, and without any earlier ones."""
    others = [tag for tag in tags if tag not in (RUNNING, HANDED_OVER) and not FAILED_TAG.fullmatch(tag)]
    own = {RUNNING: running, HANDED_OVER: handed_over, f"failed:{failed}": failed > 0}
    return others + [tag for tag, holds in own.items() if holds]
