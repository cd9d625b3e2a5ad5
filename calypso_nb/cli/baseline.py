"""What `report --new-since NAME` has told already: a file per name in the user's own folder."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from calypso_nb.cli.terminal import say
from calypso_nb.errors import UsageError
from calypso_nb.files import write_whole
from calypso_nb.team import state_folder
from calypso_nb.workload.phrases import brief, subject
from calypso_nb.workload.reporter import Workload

_NAMED = 5


def new_since(name: str, data: Workload) -> str | None:
    """Return which lines of `attention` are new since the last time, None for none, and keep them all.

    The first time keeps them only, as nothing is known that they could be newer than. Each server, and each
    choice of tasks by filters, has its own.
    """
    place = _place(name)
    kept = _kept(place)
    of = f"{data.endpoint} ({data.filters_text()}{'' if data.details else '; without comments'})"
    known = kept.get(of)
    lines = data.attention.to_dict("records")
    fresh = [] if known is None else [line for line in lines if not {*line["facts"].split()} <= {*known}]
    # The facts of each need, too: what one line tells of a team may be told one by one the next time.
    told = {
        fact for frame in (data.attention, data.needs) for facts in frame["facts"] for fact in facts.split()
    }
    unread = data.tasks.loc[data.tasks["is_open"], "comment_count"].isna().any()
    if data.details and unread:  # What was not read in time has not ended.
        told |= {*(known or ())}
    facts = sorted(told)
    write_whole(json.dumps(kept | {of: facts}, indent=1) + "\n", place)
    if known is None:
        count = f"{len(lines)} line{'s' * (len(lines) != 1)}"
        say(f"{name} is new: it keeps {count}, and the next report is compared with them")
    return f"{len(fresh)} new since {name}: {'; '.join(_told(fresh))}" if fresh else None


def _told(lines: list[dict[Any, Any]]) -> Iterator[str]:
    for line in lines[:_NAMED]:
        what = subject(line) or f"#{line['task_id']} {brief(line['title'])}"
        yield f"{what}: {', '.join(line['reasons']).replace('_', ' ')}"
    if len(lines) > _NAMED:
        yield f"and {len(lines) - _NAMED} more"


def _place(name: str) -> Path:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise UsageError(
            f"--new-since {name!r}: a name has up to 64 letters, digits, dots, dashes and underscores"
        )
    return state_folder() / "baselines" / f"{name}.json"


def _kept(place: Path) -> dict[str, list[str]]:
    try:
        kept = json.loads(place.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        kept = None
    if not isinstance(kept, dict) or not all(isinstance(facts, list) for facts in kept.values()):
        raise UsageError(
            f"{place} is not a baseline of --new-since: remove it, and the next report begins anew"
        )
    return kept
