"""What a scheduler writes on a task: tags, so that a listing shows it, and a comment for each run.

`run-agent`: it is being run, see its comments. `failed:2`: two runs have failed. `cancelled`: somebody has
ended its run, and it is not run again before that tag is removed. While a run goes on, its comment is a
lease, which says who has the task; afterwards it is the run's record.
"""

import json
import re
from collections.abc import Sequence
from contextlib import suppress

AUTHOR = "calypso-nb run-agent"
MAX_SECONDS = 3600
# A name without a blank stands as it is, any other one as JSON has it.
_NAME = r'(?:[^\s"]\S*|"(?:[^"\\]|\\.)*")'
LEASE = re.compile(
    r"Lease (?P<run>[0-9a-f]{12}) of (?P<seconds>[0-9]{1,4}) s, sign (?P<sign>[0-9]{1,9}): "
    r"(?P<what>(?P<host>\S+) (?P<does>takes|runs) .*)"
)
WHAT = re.compile(
    rf"\A(?P<host>\S+) (?:takes|runs) (?P<recipe>{_NAME}) for (?P<agent>{_NAME})(?: in (?P<folder>{_NAME}))?"
)
RECORD = re.compile(
    rf"\ARun (?P<run>[0-9a-f]{{12}}) of (?P<recipe>{_NAME}) for (?P<agent>{_NAME}) on (?P<host>\S+): "
    r"(?P<outcome>succeeded|failed|over time|stopped|cancelled|lost) "
    r"after (?P<seconds>[0-9]{1,9}\.[0-9]|\?) s, (?P<why>[^\n]*)\."
    r"(?:\nUsage: (?P<usage>\{[^\n]*\}))?(?:\n|\Z)"
)
# What a record says that was no lease before: when its run began, its time doesn't say.
LATE = "Its lease was gone when it was told, so nothing was changed on the task."
CANCEL = re.compile(r"Cancel run (?P<run>[0-9a-f]{12})\.")
FAILED_RUN = re.compile(r"Run [0-9a-f]{12} of [^\n]*?: (?:failed|over time|lost) after ")
USAGE = ("input_tokens", "output_tokens", "cost_usd")
_MOST = 2**53
RUNNING = "run-agent"
CANCELLED = "cancelled"
FAILED_TAG = re.compile(r"failed:([0-9]{1,6})")


def written(name: str) -> str:
    """Return the name of a recipe, an agent or a folder as leases and records have it.

    Example: `written("qa lead")`
    """
    return name if re.fullmatch(r'[^\s"]\S*', name) else json.dumps(name)


def read(name: str) -> str:
    """Return the name that `written` has written.

    Example: `read('"qa lead"')`
    """
    if name.startswith('"'):
        with suppress(ValueError):
            return str(json.loads(name))
    return name


def usage_of(said: object) -> dict[str, float]:
    """Return what a run used, of the names in USAGE; what is not said, or can't be, is left out.

    Example: `usage_of({"input_tokens": 1200, "cost_usd": 0.02})`
    """
    if not isinstance(said, dict):
        return {}
    numbers = {name: said[name] for name in USAGE if type(said.get(name)) in (int, float)}
    return {name: number for name, number in numbers.items() if 0 <= number <= _MOST}


def failures(tags: Sequence[str]) -> int:
    """Return how many runs of a task have failed, by its tags."""
    return max((int(match[1]) for tag in tags if (match := FAILED_TAG.fullmatch(tag))), default=0)


def with_tags(
    tags: Sequence[str], *, failed: int, running: bool = False, cancelled: bool = False
) -> list[str]:
    """Return a task's tags with these of the scheduler's own, and without any earlier ones."""
    others = others_of(tags)
    own = {RUNNING: running, CANCELLED: cancelled, f"failed:{failed}": failed > 0}
    return others + [tag for tag, holds in own.items() if holds]


def others_of(tags: Sequence[object]) -> list[str]:
    """Return a task's tags without a scheduler's."""
    return [
        str(tag) for tag in tags if tag not in (RUNNING, CANCELLED) and not FAILED_TAG.fullmatch(str(tag))
    ]
