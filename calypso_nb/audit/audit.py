"""Whether a team keeps the rules of its process: what is broken, what is kept, and what can't be checked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from calypso_nb.audit.rules import ABOUT_COMMENTS, NOT_CHECKABLE, RULES, Need
from calypso_nb.audit.seen import DAY, MANUAL_QUEUES, Link, Note, Notes, Past, Seen
from calypso_nb.audit.verdicts import Verdict
from calypso_nb.errors import UsageError
from calypso_nb.flow.measures import recorded_share
from calypso_nb.frames import TIME, Column, conformed
from calypso_nb.team import Team
from calypso_nb.workload.phrases import did_you_mean
from calypso_nb.workload.reporter import Workload

CERTAIN, LIKELY = "certain", "likely"
KEPT, BROKEN, NOT_CHECKED, NO_CASE, OFF = STATES = "kept", "broken", "not checked", "no case", "off"

FINDING_COLUMNS: dict[str, Column] = {
    "rule": Column("str", "", "the rule's id, such as `Q1`"),
    "task": Column("Int64", "", "the task, NA if it is about none in particular"),
    "agent": Column("str", "", "whom it is about: for what is written into a task its creator, for a comment "
                    "its author, else who has the task, or had it then; NA if nobody"),
    "since": Column(TIME, "UTC", "it has been so since then or longer, NA if unknown"),
    "certainty": Column("str", "", "certain or likely"),
    "evidence": Column("str", "", "what was seen"),
    "source": Column("str", "", "the section of the manual, NA if the list of its checks names none"),
    "to_do": Column("str", "", "what mends it"),
}  # fmt: skip

_COUNTS: dict[str, Column] = {
    "kept": Column("Int64", "", "how often it is kept, NA if it was not checked"),
    "broken": Column("Int64", "", "how often it is broken: its findings, NA if it was not checked"),
    "likely": Column("Int64", "", "how many of these are only likely, NA if it was not checked"),
    "not_checked": Column(
        "Int64", "", "how often that could not be checked, NA if it was not checked at all"
    ),
}

RULE_COLUMNS: dict[str, Column] = {
    "rule": Column("str", "", "its id; one row per rule"),
    "text": Column("str", "", "what it asks for"),
    "state": Column("str", "", "broken, kept, not checked, no case (nothing that it applies to), or off"),
    **_COUNTS,
    "certainty": Column("str", "", "of its findings: certain, likely, or both"),
    "needs": Column("str", "", "what it can't be checked without"),
    "why": Column("str", "", "why it, or some of it, was not checked; NA if all was"),
    "source": FINDING_COLUMNS["source"],
}

AGENT_COLUMNS: dict[str, Column] = {
    "rule": Column("str", "", "a rule that was checked on something of the agent's"),
    "agent": Column("str", "", "the agent, NA for what is about nobody"),
    "kept": Column("int64", "", "how often it is kept"),
    "broken": Column("int64", "", "how often it is broken"),
    "likely": Column("int64", "", "how many of these are only likely"),
    "not_checked": Column("int64", "", "how often that could not be checked"),
}

TREND_COLUMNS: dict[str, Column] = {
    "rule": Column("str", "", "a rule about what happens, rather than about how things are"),
    "week": Column("str", "", "the ISO week, 2026-W48; what lies between two times counts for the later one"),
    "from": Column(TIME, "UTC", "when it began: a Monday"),
    "recorded": Column("float64", "", "share of the week that was recorded, 0 to 1"),
    "checked": Column("Int64", "", "how often it was checked, NA if nothing was recorded"),
    "broken": Column("Int64", "", "how often it was broken, NA if nothing was recorded"),
}

# More findings than these, in more than this share of the cases, are told in one sentence.
MANY_FINDINGS, NEARLY_ALL = 50, 0.9

_SAID = {KEPT: "kept", BROKEN: "broken", NOT_CHECKED: "not checked", NO_CASE: "without a case", OFF: "off"}


@dataclass(frozen=True, repr=False, eq=False)
class Audit:
    """What is broken of the rules of the process, and what could not be checked.

    - findings: a row per finding, certain ones first, of each rule the newest first, with `FINDING_COLUMNS`
    - rules: a row per rule, with `RULE_COLUMNS`
    - agents: a row per rule and agent whom it was checked on, with `AGENT_COLUMNS`
    - trend: a row per rule and week, with `TREND_COLUMNS`; empty without a history
    - endpoint, generated_at: from where and when the tasks are
    - not_checkable: what the manual asks for and TinyTask knows nothing of

    Example: `data.audit.findings`
    """

    findings: pd.DataFrame
    rules: pd.DataFrame
    agents: pd.DataFrame
    trend: pd.DataFrame
    endpoint: str
    generated_at: datetime
    not_checkable: tuple[str, ...] = NOT_CHECKABLE

    @property
    def certain(self) -> pd.DataFrame:
        """The findings that are certain."""
        return self.findings[self.findings["certainty"] == CERTAIN]

    @property
    def broken(self) -> pd.DataFrame:
        """The rules that are broken, those with the most certain findings first, with `RULE_COLUMNS`."""
        rules = self.rules[self.rules["state"] == BROKEN]
        rules = rules.assign(certain=rules["broken"] - rules["likely"])
        rules = rules.sort_values(["certain", "broken"], ascending=False, kind="stable", ignore_index=True)
        return rules[[*RULE_COLUMNS]]

    @property
    def unkept(self) -> dict[str, str]:
        """A sentence on each rule that nearly everybody breaks, by its id.

        A table of its findings would bury the others; `findings` has them all.
        """
        rules = self.broken
        cases = rules["broken"] + rules["kept"]
        many = (rules["broken"] > MANY_FINDINGS) & (rules["broken"] > NEARLY_ALL * cases)
        return {
            row["rule"]: f"nobody keeps {row['rule']}: broken in {row['broken']:,} of "
            f"{row['broken'] + row['kept']:,} cases; {RULES[row['rule']].to_do}"
            for row in rules[many].to_dict("records")
        }

    @property
    def others(self) -> dict[str, list[str]]:
        """The ids of the rules that are not broken, by what is said of them: kept, or why not checked."""
        found: dict[str, list[str]] = {}
        for row in self.rules[self.rules["state"] != BROKEN].to_dict("records"):
            why = f" ({row['why']})" if row["state"] == NOT_CHECKED else ""
            found.setdefault(f"{_SAID[row['state']]}{why}", []).append(row["rule"])
        return found

    @property
    def by_agent(self) -> pd.DataFrame:
        """How often each agent breaks which rules, a row per agent, most findings first.

        Columns: `agent`, `broken` and `kept` of all rules together, `rules` as in `T5 (12), Q1 (3)`.
        """
        broken = self.agents[self.agents["broken"] > 0].sort_values("broken", ascending=False, kind="stable")
        named = [f"{rule} ({count})" for rule, count in zip(broken["rule"], broken["broken"], strict=True)]
        told = pd.Series(named, broken.index, dtype="object").groupby(broken["agent"], dropna=False)
        frame = self.agents.groupby("agent", dropna=False)[["broken", "kept"]].sum()
        frame = frame.assign(rules=told.agg(", ".join).reindex(frame.index)).reset_index()
        return frame.sort_values("broken", ascending=False, kind="stable", ignore_index=True)

    @property
    def summary(self) -> str:
        """What was found, in a sentence."""
        sure, states = len(self.certain), self.rules["state"].value_counts()
        told = [f"{states[name]} {_SAID[name]}" for name in (BROKEN, *STATES) if name in states]
        return (
            f"{sure:,} certain and {len(self.findings) - sure:,} likely findings; of {len(self.rules)} rules "
            f"{', '.join(dict.fromkeys(told))}"
        )

    def __repr__(self) -> str:
        return f"<Audit: {self.summary}>"


def audit_of(
    data: Workload,
    team: Team,
    comments: Notes | None = None,
    links: Mapping[int, Sequence[Link]] | None = None,
    past: Past | None = None,
) -> Audit:
    """Check a report by the rules of a team.

    - data: the tasks; those that its filters leave out are looked at, and not checked
    - team: which rules are off, and what the team calls its queues
    - comments, links: what was read of them; None if nothing was
    - past: what is recorded, None if nothing is

    Raise UsageError for a rule or a queue that the team's settings name and the manual doesn't have.
    Example: `audit_of(data, Team()).rules`
    """
    check_settings(team)
    seen = Seen(data, team, comments, links, past)
    missing = _missing(seen)
    checked: dict[str, list[Verdict]] = {}
    why: dict[str, str] = {}
    for rule in RULES.values():
        lacking = [missing[need] for need in rule.needs if need in missing]
        if rule.id in team.audit.off:
            why[rule.id] = "switched off"
        elif lacking:
            why[rule.id] = "; ".join(lacking)
        else:
            verdicts = rule.check(seen, team.audit.words.get(rule.id, rule.words))
            missed = "comments" in rule.needs and rule.id not in ABOUT_COMMENTS
            checked[rule.id] = [*(_as_sure(seen, verdicts) if missed else verdicts)]
    return Audit(
        _findings(checked),
        _rules(checked, why, team),
        _agents(checked),
        _trend(checked, past),
        data.endpoint,
        data.generated_at,
    )


def _as_sure(seen: Seen, verdicts: Iterator[Verdict]) -> Iterator[Verdict]:
    """Yield verdicts, of which none is certain where a comment may have been lost on its way."""
    for verdict in verdicts:
        lost = verdict.evidence is not None and not seen.notes.sure(verdict.task)
        yield verdict._replace(likely=True) if lost else verdict


def check_settings(team: Team) -> None:
    """Raise UsageError for a rule or a queue that the settings of an audit name and there isn't."""
    worded = [rule.id for rule in RULES.values() if rule.words]
    for setting, given, known in (
        ("audit.off", team.audit.off, [*RULES]),
        ("audit.words", team.audit.words, worded),
        ("audit.queues", team.audit.queues, MANUAL_QUEUES),
    ):
        for name in given:
            if name not in known:
                like = did_you_mean(name, known)
                raise UsageError(f"{setting}: {name!r} is not one of {', '.join(known)}{like}")


def _missing(seen: Seen) -> dict[Need, str]:
    """Return why what is not there is missing."""
    is_v1 = bool(seen.tasks) and all(task.blocked is None for task in seen.tasks.values())
    lacking: dict[Need, str | None] = {
        "queues": "the server has no queues" if is_v1 else None,
        "queue names": None
        if is_v1 or seen.has_queues
        else "no queue is one of the manual's: [audit.queues] names them",
        "comments": "comments were not read" if seen.notes_read is None else None,
        "links": "links were not read" if seen.links_read is None else None,
        "history": "no history" if seen.recorded is None else None,
        "roles": None if seen.has_roles else "no agent has a role: agents.json or [roles] gives them",
    }
    return {need: why for need, why in lacking.items() if why is not None}


def _findings(checked: Mapping[str, list[Verdict]]) -> pd.DataFrame:
    rows = [
        {
            "rule": name,
            "task": verdict.task,
            "agent": verdict.agent,
            "since": verdict.since,
            "certainty": LIKELY if verdict.likely else CERTAIN,
            "evidence": verdict.evidence,
            "source": RULES[name].source or None,
            "to_do": RULES[name].to_do,
        }
        for name, verdicts in checked.items()
        for verdict in verdicts
        if verdict.evidence is not None
    ]
    frame = pd.DataFrame(rows, columns=[*FINDING_COLUMNS])
    frame["since"] = _times(frame["since"])
    frame["place"] = frame["rule"].map({name: place for place, name in enumerate(RULES)})
    order = ["certainty", "place", "since", "task"]
    return conformed(frame.sort_values(order, ascending=[True, True, False, True]), FINDING_COLUMNS)


def _times(values: pd.Series) -> pd.Series:
    stamps = pd.to_numeric(values, errors="coerce").astype("float64")
    whole = stamps.where(stamps > 0).round().astype("Int64")
    return pd.to_datetime(whole, unit="us", utc=True).dt.as_unit("us")


def _rules(checked: Mapping[str, list[Verdict]], why: Mapping[str, str], team: Team) -> pd.DataFrame:
    rows = []
    for rule in RULES.values():
        counts = _counted(checked[rule.id]) if rule.id in checked else {}
        state = OFF if rule.id in team.audit.off else _state(counts)
        known = counts if state != NOT_CHECKED else {"not_checked": counts.get("not_checked")}
        rows.append(
            {
                "rule": rule.id,
                "text": rule.text,
                "state": state,
                **{name: known.get(name) for name in _COUNTS},
                "certainty": rule.certainty,
                "needs": ", ".join(rule.needs),
                "why": why.get(rule.id) or _reasons(checked.get(rule.id, [])),
                "source": rule.source or None,
            }
        )
    return conformed(pd.DataFrame(rows), RULE_COLUMNS)


def _state(counts: Mapping[str, int]) -> str:
    """Return how a rule is, by how often it was kept, broken and not checked."""
    if not counts:
        return NOT_CHECKED
    found = (name for name in (BROKEN, KEPT, NOT_CHECKED) if counts[name.replace(" ", "_")])
    return next(found, NO_CASE)


def _counted(verdicts: Sequence[Verdict]) -> dict[str, int]:
    broken = likely = unchecked = 0
    for verdict in verdicts:
        broken += verdict.evidence is not None
        likely += verdict.evidence is not None and verdict.likely
        unchecked += verdict.why_not is not None
    kept = len(verdicts) - broken - unchecked
    return {"kept": kept, "broken": broken, "likely": likely, "not_checked": unchecked}


def _reasons(verdicts: Sequence[Verdict]) -> str | None:
    reasons = Counter(verdict.why_not for verdict in verdicts if verdict.why_not is not None)
    return "; ".join(f"{number} of {len(verdicts)}: {why}" for why, number in reasons.most_common()) or None


def _agents(checked: Mapping[str, list[Verdict]]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for name, verdicts in checked.items():
        own: dict[str | None, list[Verdict]] = defaultdict(list)
        for verdict in verdicts:
            own[verdict.agent].append(verdict)
        rows += ({"rule": name, "agent": agent, **_counted(some)} for agent, some in own.items())
    frame = pd.DataFrame(rows, columns=[*AGENT_COLUMNS])
    order = {name: place for place, name in enumerate(RULES)}
    frame = frame.sort_values("rule", key=lambda names: names.map(order), kind="stable")
    return conformed(frame, AGENT_COLUMNS)


def _trend(checked: Mapping[str, list[Verdict]], past: Past | None) -> pd.DataFrame:
    if past is None or np.isnan(past.journeys.end):
        return conformed(pd.DataFrame(columns=[*TREND_COLUMNS]), TREND_COLUMNS)
    weeks = [*_weeks(past)]
    edges = np.array([*weeks, weeks[-1] + 7 * DAY], dtype="float64")
    shares = recorded_share(past.journeys, edges)
    rows = []
    for name, verdicts in checked.items():
        judged = [one for one in verdicts if one.at is not None and one.why_not is None]
        happened = _per_week(judged, edges)
        broken = _per_week([one for one in judged if one.evidence is not None], edges)
        for place, (week, share) in enumerate(zip(weeks, shares, strict=True) if judged else ()):
            row = {"rule": name, "week": _iso_week(week), "from": week, "recorded": float(share)}
            known = share > 0
            row |= {"checked": happened[place] if known else None, "broken": broken[place] if known else None}
            rows.append(row)
    frame = pd.DataFrame(rows, columns=[*TREND_COLUMNS])
    frame["from"] = _times(frame["from"])
    return conformed(frame, TREND_COLUMNS)


def _per_week(verdicts: Sequence[Verdict], edges: np.ndarray) -> list[int]:
    times = np.array([verdict.at for verdict in verdicts], dtype="float64")
    counts: list[int] = np.histogram(times, edges)[0].tolist()
    return counts


def _weeks(past: Past) -> Iterator[int]:
    """Yield when each week began in which something was recorded, or lies between two such weeks."""
    # 1970 began on a Thursday.
    monday = int(max(past.journeys.begin, past.since or 0) + 3 * DAY) // (7 * DAY) * 7 * DAY - 3 * DAY
    yield monday
    while (monday := monday + 7 * DAY) < past.journeys.end:
        yield monday


def _iso_week(time: int) -> str:
    year, week, _ = datetime.fromtimestamp(time / 1e6, UTC).isocalendar()
    return f"{year}-W{week:02}"


# What is read


def notes_of(comments: pd.DataFrame, whole: Any = ()) -> Notes:
    """Return comments as the rules look at them.

    - comments: with the columns of `COMMENT_COLUMNS`
    - whole: the tasks of which all comments are among them

    Example: `notes_of(client.list_comments(3), [3])`
    """
    times = _micros(comments["created_at"])
    rows = zip(
        comments["task_id"], _texts(comments["created_by"]), times, _texts(comments["content"]), strict=True
    )
    return Notes((Note(task, agent or None, at, text or "") for task, agent, at, text in rows), whole)


def links_of(links: pd.DataFrame, whole: Sequence[int]) -> dict[int, list[Link]]:
    """Return the links of each task of which they were read.

    - links: with the columns of `LINK_COLUMNS`
    - whole: the tasks of which they were read

    Example: `links_of(client.list_links(3), [3])`
    """
    found: dict[int, list[Link]] = {task: [] for task in whole}
    texts = (_texts(links[name]) for name in ("created_by", "url", "description"))
    for task, agent, url, description in zip(links["task_id"], *texts, strict=True):
        if task in found:
            found[task].append(Link(task, agent or None, url or "", description or ""))
    return found


def past_notes(feed: pd.DataFrame, coverage: pd.DataFrame) -> Notes | None:
    """Return the comments of a history, and for which times these are all.

    Of a file all are recorded. What is older may have been forgotten since, unless one is older than the
    recording. A server that pushes tells of those of that time, and may lose some.

    - feed, coverage: with `FEED_COLUMNS` and `COVERAGE_COLUMNS`
    """
    said, recorded = feed[feed["what"] == "said"], coverage[coverage["recorded"]]
    texts = (_texts(said[name]) for name in ("agent", "text"))
    rows = zip(said["task_id"], _micros(said["not_before"]), *texts, strict=True)
    notes = [Note(task, agent or None, at, text or "") for task, at, agent, text in rows]
    begins, ends = (_micros(recorded[name]) for name in ("from", "to"))
    if recorded["source"].iloc[-1:].str.startswith("file").any():
        oldest = min((note.at for note in notes if note.at is not None), default=ends[-1])
        return Notes(notes, None) if oldest < begins[0] else Notes(notes, (), [(oldest, ends[-1])])
    told = recorded["source"].str.contains("pushed", regex=False)
    spans = [span for span, pushed in zip(zip(begins, ends, strict=True), told, strict=True) if pushed]
    return Notes(notes, (), spans, lossy=True) if notes or spans else None


def _micros(times: pd.Series) -> list[Any]:
    known = times.notna()
    values = times.dt.as_unit("us").astype("int64").astype("object")
    found: list[Any] = values.where(known, None).tolist()
    return found


def _texts(values: pd.Series) -> list[Any]:
    return values.astype("object").where(values.notna(), None).tolist()
