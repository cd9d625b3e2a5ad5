"""When some tasks will be done, or how many by a date, and how often such a forecast has been right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta
from functools import cached_property, partial
from math import ceil, floor, sqrt
from multiprocessing import get_context
from operator import itemgetter
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from calypso_nb.client.calls import progress_bar
from calypso_nb.errors import UsageError
from calypso_nb.flow.chains import Chains, chains_of
from calypso_nb.flow.columns import PERCENTS
from calypso_nb.flow.items import Items, Selection
from calypso_nb.flow.measures import BUCKETS, recorded_share
from calypso_nb.flow.sampling import Past, block_of, counted, readings, simulate
from calypso_nb.frames import TIME, Column, conformed
from calypso_nb.history.changes import micros_of, moment_of
from calypso_nb.history.journeys import Journeys
from calypso_nb.workload.phrases import moment

WINDOW, LEAST_BUCKETS = 60, 14
# From how many forecasts of the past on a date is told, and how many are looked at.
LEAST_ORIGINS, MOST_ORIGINS = 20, 60
OWN_LEAST = 20  # From how many finished tasks on a selection's own throughput counts.
PAST_TRIALS = 1_000
LONGEST = 500  # Buckets after which a trial is given up.
NO_DATE = f"no date within {LONGEST} buckets"
# With fewer independent forecasts than that, even the worst of them says nothing of 85 %.
LEAST_INDEPENDENT = 6
_CYCLES = {"1 h": 24, "6 h": 4, "1 d": 7, "1 w": 4}
_CHANGED = 0.01

DATE_COLUMNS: dict[str, Column] = {
    "percent": Column("int64", "%", "in so many per cent of futures it is done by then"),
    "corrected": Column(TIME, "UTC", "by when, corrected by how forecasts of the past have held"),
    "raw": Column(TIME, "UTC", "by when, as drawn; NA beyond 500 buckets"),
    "growing": Column(TIME, "UTC", "corrected, and if as many tasks are added as before; NA if never"),
}

COUNT_COLUMNS: dict[str, Column] = {
    "percent": Column("int64", "%", "in so many per cent of futures it is that many or more"),
    "corrected": Column("Int64", "tasks", "how many, corrected by how forecasts of the past have held"),
    "raw": Column("Int64", "tasks", "how many, as drawn"),
}

RECORD_COLUMNS: dict[str, Column] = {
    "made_at": Column(TIME, "UTC", "when the forecast would have been made, by what was known then"),
    "promised": Column("float64", "buckets or tasks", "what it would have promised at 85 %"),
    "outcome": Column("float64", "buckets or tasks", "what came, at worst; NA if it is not yet over"),
    "held": Column("bool", "", "the promise was kept"),
    "place": Column("float64", "", "the share of its futures in which it went better than it came"),
    **{
        f"needed_{percent}": Column(
            "float64", "", f"by how much the one of {percent} % was too early, 1 if just right"
        )
        for percent in PERCENTS
    },
}


class Question(NamedTuple):
    """What a forecast is asked.

    - selection: which tasks
    - tasks: how many of them are to be finished
    - buckets: within how many buckets, None for when
    - bucket: the span of a bucket
    - seed: what all that is drawn starts from
    """

    selection: Selection
    tasks: int
    buckets: int | None
    bucket: str
    seed: int

    @property
    def size(self) -> float:
        """The span of a bucket in microseconds."""
        return BUCKETS[self.bucket]


class Basis(NamedTuple):
    """What a forecast is drawn from.

    - past: what happened in the buckets of the window
    - shares: which share of what the team finished is the selection's, for each trial; 1 if it is its own
    - own, team: how many tasks of the selection and of the team were finished in the window
    - buckets: how many buckets that are recorded
    """

    past: Past
    shares: np.ndarray
    own: int
    team: int
    buckets: int


class Forecast:
    """When some open tasks will be done, or how many by a date, with its own record.

    - journeys: what is known of all tasks
    - selection: the tasks that are asked about
    - by: a moment; asks how many will be done by then, and not when all will be
    - trials: how many futures are drawn
    - seed: the same seed gives the same answer
    - workers: the number of processes, or the address of a Dask cluster, that work out the record; by default
      this process does. A script that has processes do it needs `if __name__ == "__main__":`
    - progress: show a bar if that takes long, or call it with the number done and the number in all

    Raise UsageError if no chosen task is open, for a name that nothing has, and if `by` is not after all that
    is known.
    Example: `history.forecast(tag="billing").answer`
    """

    def __init__(
        self,
        journeys: Journeys,
        selection: Selection,
        by: datetime | None = None,
        *,
        trials: int = 10_000,
        seed: int = 0,
        workers: int | str | None = None,
        progress: bool | Callable[[int, int], None] = True,
    ) -> None:
        if not journeys.recorded:
            raise UsageError("a forecast needs a history: `calypso-nb record` writes one")
        if trials < 100:
            raise UsageError(f"{trials} trials are too few: take 100 or more")
        self.journeys, self.selection, self.by, self.seed, self.trials = journeys, selection, by, seed, trials
        self.team = Items(journeys)
        chosen = selection.of(self.team, strict=True)
        self.tasks = chosen.tasks[np.isnan(chosen.done.low)]
        if not len(self.tasks):
            raise UsageError(f"{selection}: no task is open")
        self.bucket = _bucket_of(journeys, self.team)
        ahead = None if by is None else self._buckets_until(by)
        self.question = Question(selection, len(self.tasks), ahead, self.bucket, seed)
        rng = np.random.default_rng(seed)
        self.basis = basis_of(rng, journeys, self.team, self.question, trials)
        self.chains = Chains(np.zeros((0, trials)), 0, "")
        self.raw = self.growing = np.empty(0)
        if self.basis is not None:
            self.chains = chains_of(rng, self.team, self.tasks, trials)
            self._draw(rng, self.basis)
        self.record = self._backtest(workers, progress)

    def __repr__(self) -> str:
        return f"<Forecast: {self.answer}>"

    def __str__(self) -> str:
        return "\n".join(self.lines)

    @property
    def now(self) -> datetime:
        """The last that is known, from which it looks ahead."""
        return moment_of(int(self.journeys.end))

    def _buckets_until(self, by: datetime) -> int:
        buckets = floor((micros_of(by) - self.journeys.end) / BUCKETS[self.bucket])
        if buckets < 1:
            raise UsageError(
                f"{moment(by)} is less than a bucket of {self.bucket} after the last that is known: "
                f"{moment(self.now)}"
            )
        return buckets

    def _draw(self, rng: np.random.Generator, basis: Basis) -> None:
        waits = self.chains.spans / self.question.size
        if self.question.buckets is not None:
            done = counted(rng, basis.past, self.question.buckets, basis.shares)
            # What is not there can't be finished, nor what waits longer; best last, as with times.
            ready = len(self.tasks) - (waits > self.question.buckets).sum(axis=0)
            self.raw = np.sort(np.minimum(done, ready))[::-1]
            return
        self._waits = waits.max(axis=0, initial=0)
        futures = simulate(rng, basis.past, len(self.tasks), basis.shares, LONGEST, grows=True)
        self._frozen, self._growing = futures.frozen, futures.growing
        self.raw = np.sort(np.maximum(self._frozen, self._waits))
        self.growing = np.sort(np.maximum(self._growing, self._waits))

    # Its record

    def _backtest(self, workers: int | str | None, progress: Any) -> pd.DataFrame:
        origins = _origins(self.journeys, self.question)
        made = partial(forecasts_at, self.journeys, self.question)
        rows: list[dict[str, Any]] = []
        with progress_bar(progress, len(origins)) as move:
            for some in _spread(made, origins, workers):
                rows += some
                move(len(rows))
        found = sorted((row for row in rows if row["over"]), key=itemgetter("made_at"))
        return conformed(pd.DataFrame(found, columns=[*RECORD_COLUMNS, "over"]), RECORD_COLUMNS)

    @cached_property
    def independent(self) -> int:
        """How many forecasts of the record don't overlap: the time it spans by the time that one takes."""
        if self.record.empty:
            return 0
        made = self.record["made_at"]
        buckets = (made.iloc[-1] - made.iloc[0]) / timedelta(microseconds=self.question.size)
        ahead = self.question.buckets or self.record["outcome"].fillna(np.inf).median()
        if not np.isfinite(ahead):
            return 1
        return int(np.clip(floor((buckets + ahead) / max(ahead, 1)), 1, len(self.record)))

    @cached_property
    def held(self) -> tuple[float, float, float]:
        """Which share of the past's forecasts held at 85 %, and between which it lies: 95 % Wilson."""
        if self.record.empty:
            return (np.nan,) * 3
        share, number = float(self.record["held"].mean()), self.independent
        z = NormalDist().inv_cdf(0.975)
        middle = (share + z * z / (2 * number)) / (1 + z * z / number)
        wide = z / (1 + z * z / number) * sqrt(share * (1 - share) / number + z * z / (4 * number**2))
        return share, max(middle - wide, 0.0), min(middle + wide, 1.0)

    @cached_property
    def stretch(self) -> dict[int, float]:
        """By how much each percentile is corrected: never to less, and infinite if nothing would have done.

        By split conformal prediction: 85 % of the past forecasts needed no more, and one more for each that
        is independent of the others.
        """
        found = {}
        for percent in PERCENTS:
            needed = np.sort(self.record[f"needed_{percent}"].to_numpy())
            level = min(percent / 100 * (1 + 1 / max(self.independent, 1)), 1)
            found[percent] = max(1.0, float(needed[ceil(level * len(needed)) - 1])) if len(needed) else np.inf
        return found

    @cached_property
    def alarm(self) -> str:
        """That the last third of the record lies elsewhere than the first, so that the team has changed."""
        places = self.record["place"]
        third = len(places) // 3
        if len(places) < LEAST_ORIGINS:
            return ""
        ranks = pd.concat([places[:third], places[-third:]]).rank()
        late = ranks.iloc[third:].sum() - third * (third + 1) / 2 - third * third / 2
        # Mann-Whitney, as if there were only as many as are independent.
        spread = sqrt(third * third * (2 * third + 1) / 12) * sqrt(len(places) / self.independent)
        if 2 * NormalDist().cdf(-abs(late) / spread) >= _CHANGED:
            return ""
        pace = "slower" if late > 0 else "faster"
        since = self.record["made_at"].iloc[-third]
        return f"the team has changed: since {since:%Y-%m-%d} it is {pace} than its own past promised"

    # Its answer

    @property
    def told(self) -> bool:
        """Whether its past says how good it is, so that it gives an answer at all."""
        return self.basis is not None and not self.chains.never and len(self.record) >= LEAST_ORIGINS

    @cached_property
    def dates(self) -> pd.DataFrame:
        """By when all are done, with `DATE_COLUMNS`; all NA if its past doesn't say how good it is."""
        if self.by is not None:
            raise UsageError("this forecast says how many by a date: see counts")
        rows = []
        for percent in PERCENTS if self.told else ():
            stretch = self.stretch[percent]
            # What waits for others takes as long as they do, however well the past was forecast.
            corrected, growing = (
                _at(np.sort(np.maximum(futures * stretch, self._waits)), percent)
                for futures in (self._frozen, self._growing)
            )
            raw = _at(self.raw, percent)
            rows.append({"percent": percent, "corrected": corrected, "raw": raw, "growing": growing})
        frame = pd.DataFrame(rows or [{"percent": percent} for percent in PERCENTS], columns=[*DATE_COLUMNS])
        for name in ("corrected", "raw", "growing"):
            buckets = frame[name].astype("float64").cummax()
            ends = self.journeys.end + buckets.where(np.isfinite(buckets)) * self.question.size
            frame[name] = pd.to_datetime((ends / 1e6).round().astype("Int64"), unit="s", utc=True)
        return conformed(frame, DATE_COLUMNS)

    @cached_property
    def counts(self) -> pd.DataFrame:
        """How many are done by then, with `COUNT_COLUMNS`; all NA if its past doesn't say how good it is."""
        if self.by is None:
            raise UsageError("this forecast says when all are done: see dates")
        raw = [_at(self.raw, percent) for percent in PERCENTS]
        corrected = [
            floor(number / self.stretch[percent]) for number, percent in zip(raw, PERCENTS, strict=True)
        ]
        frame = pd.DataFrame({"percent": PERCENTS, "corrected": corrected, "raw": raw})
        frame["corrected"] = frame["corrected"].cummin()
        if not self.told:
            frame[["corrected", "raw"]] = pd.NA
        return conformed(frame, COUNT_COLUMNS)

    @property
    def never_share(self) -> float:
        """In which share of the growing futures it doesn't end within 500 buckets."""
        return float(np.isinf(self.growing).mean()) if len(self.growing) else np.nan

    @property
    def answer(self) -> str:
        """The answer in a sentence."""
        about = (
            f"{len(self.tasks)} open tasks of {self.selection}"
            if any(self.selection)
            else f"all {len(self.tasks)} open tasks"
        )
        if self.chains.never:
            return f"{about}: never as it is: {self.chains.never}"
        if self.basis is None:
            return f"{about}: {self._lacking}"
        if not self.told:
            checked = f"{len(self.record)} of {LEAST_ORIGINS} forecasts of the past can be checked"
            return f"{about}: not enough history: {checked}"
        if self.by is not None:
            few, many = self.counts["corrected"][1], self.counts["corrected"][0]
            return (
                f"{about}: with 85 % certainty {few} or more done by {_date(self.by)}; 50 %: {many} or more"
            )
        half, sure, surest = (_date(date) for date in self.dates["corrected"])
        if pd.isna(self.dates["corrected"][1]):
            return f"{about}: {NO_DATE} with 85 % certainty; 50 %: {half}"
        return f"{about}: done by {sure} with 85 % certainty; 50 %: {half}; 95 %: {surest}"

    @property
    def lines(self) -> list[str]:
        """The answer, what it is drawn from, and how often such forecasts have been right."""
        lines = [self.answer]
        if self.told:
            if self.by is None:
                raw = ", ".join(f"{row.percent} % {_date(row.raw)}" for row in self.dates.itertuples())
                lines.append(f"Uncorrected: {raw}")
                lines.append(self._if_it_grows)
                if self.chains.length:
                    lines.append(
                        f"Its longest chain of blockers has {self.chains.length} tasks, and none ends earlier"
                    )
            else:
                raw = ", ".join(f"{row.percent} % {row.raw} or more" for row in self.counts.itertuples())
                lines.append(f"Uncorrected: {raw}")
        if len(self.record):
            lines.append(self.promise)
        if self.alarm:
            lines.append(f"Careful: {self.alarm}")
        if self.basis is not None:
            lines.append(self.source)
        return lines

    @property
    def promise(self) -> str:
        """How often such forecasts have held."""
        share, low, high = self.held
        told = (
            f"Of {len(self.record)} such forecasts ({self.independent} independent), 85 % was promised, "
            f"{100 * share:.0f} % held ({100 * low:.0f} to {100 * high:.0f} %)"
        )
        few = (
            f"; fewer than {LEAST_INDEPENDENT} independent ones can't support 85 %: the worst of them counts"
        )
        return told if self.independent >= LEAST_INDEPENDENT else told + few

    @property
    def source(self) -> str:
        """What it is drawn from."""
        assert self.basis is not None
        own, team = self.basis.own, self.basis.team
        rule = f"{own} finished tasks of {self.selection}"
        if not any(self.selection):
            rule = f"{team} finished tasks"
        elif own < OWN_LEAST:
            rule = f"{team} finished tasks of the team, {own} of them of {self.selection}: its share of these"
        return (
            f"From {rule} in {self.basis.buckets} recorded buckets of {self.bucket} up to {_date(self.now)}; "
            f"{self.trials:,} trials, seed {self.seed}"
        )

    @property
    def _if_it_grows(self) -> str:
        sure = self.dates["growing"][1]
        grows = "never with 85 % certainty" if pd.isna(sure) else f"by {_date(sure)} with 85 % certainty"
        never = self.never_share
        share = (
            f"; in {100 * never:.0f} % of futures it isn't over within {LONGEST} buckets of {self.bucket}"
            if never
            else ""
        )
        return f"If it grows as it has grown: {grows}{share}"

    @property
    def _lacking(self) -> str:
        edges = _edges(self.journeys, self.question.size)
        number = int((recorded_share(self.journeys, edges) >= 0.5).sum())
        if number < LEAST_BUCKETS:
            return f"not enough history: {number} of {LEAST_BUCKETS} recorded buckets of {self.bucket}"
        return "not enough history: too little of it has been finished to say how fast that goes"


def basis_of(
    rng: np.random.Generator, journeys: Journeys, team: Items, question: Question, trials: int
) -> Basis | None:
    """Return what a forecast is drawn from; None if that is too little."""
    edges = _edges(journeys, question.size)
    recorded = np.flatnonzero(recorded_share(journeys, edges) >= 0.5)[-WINDOW:]
    if len(recorded) < LEAST_BUCKETS:
        return None
    chosen = question.selection.of(team)
    edges = edges[recorded[0] :]
    columns = recorded - recorded[0]
    whole = readings(rng, team.finished, edges)[:, columns]
    own = whole if chosen is team else readings(rng, chosen.finished, edges)[:, columns]
    arrived, withdrawn = (
        readings(rng, times, edges)[:, columns] for times in (chosen.created, chosen.withdrawn)
    )
    owned, all_ = round(own.sum(axis=1).mean()), round(whole.sum(axis=1).mean())
    shares = np.ones(trials)
    counts = own
    if owned < OWN_LEAST:
        if not owned or chosen is team:
            return None
        counts, shares = whole, rng.beta(owned + 1, all_ - owned + 1, trials)
    past = Past(counts, arrived - withdrawn, block_of(counts, _CYCLES[question.bucket]))
    return Basis(past, shares, owned, all_, len(recorded))


def forecasts_at(journeys: Journeys, question: Question, origins: Sequence[float]) -> list[dict[str, Any]]:
    """Return what would have been forecast at some moments, by what was known then, and what came."""
    finished = question.selection.of(Items(journeys)).finished
    return [_forecast_at(journeys, question, origin, finished) for origin in origins]


def _forecast_at(journeys: Journeys, question: Question, origin: float, finished: Any) -> dict[str, Any]:
    rng = np.random.default_rng((question.seed, int(origin)))
    known = journeys.known_at(origin)
    basis = basis_of(rng, known, Items(known), question, PAST_TRIALS)
    if basis is None:
        return {"over": False}
    later = np.sort((finished.high[finished.low >= origin] - origin) / question.size)
    if question.buckets is None:
        futures = simulate(rng, basis.past, question.tasks, basis.shares, LONGEST, grows=False).frozen
        spans = np.sort(futures)
        come = ceil(later[question.tasks - 1]) if len(later) >= question.tasks else np.inf
        # Only what must be over by now, whatever came, is not chosen by how it came.
        over = origin + _at(spans, 95) * question.size <= journeys.end
        needed = {percent: come / _at(spans, percent) for percent in PERCENTS}
        place = (spans < come).mean()
        held = _at(spans, 85) >= come
    else:
        spans = np.sort(counted(rng, basis.past, question.buckets, basis.shares))[::-1]
        spans = np.minimum(spans, question.tasks)
        come = min(int((later <= question.buckets).sum()), question.tasks)
        over = origin + question.buckets * question.size <= journeys.end
        needed = {percent: _at(spans, percent) / come if come else np.inf for percent in PERCENTS}
        needed = {percent: 1.0 if not _at(spans, percent) else value for percent, value in needed.items()}
        place = (spans > come).mean()
        held = _at(spans, 85) <= come
    return {
        "made_at": moment_of(int(origin)), "promised": _at(spans, 85), "over": over, "held": held,
        "outcome": come if np.isfinite(come) else np.nan, "place": place,
        **{f"needed_{percent}": value for percent, value in needed.items()},
    }  # fmt: skip


def _spread(
    made: Callable[[Sequence[float]], list[dict[str, Any]]], origins: list[float], workers: int | str | None
) -> Iterator[list[dict[str, Any]]]:
    """Yield the forecasts at some moments, as they are worked out here, in processes or on a cluster."""
    if workers is None or not origins:
        yield from (made([origin]) for origin in origins)
    elif isinstance(workers, int):
        if workers < 1:
            raise UsageError(f"workers={workers}: take 1 or more, or the address of a Dask cluster")
        parts = [origins[place :: 4 * workers] for place in range(min(4 * workers, len(origins)))]
        # Not forked: a kernel has threads, which a forked process would lack.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            yield from pool.map(made, parts)
    else:
        from distributed import Client, as_completed

        with Client(workers) as cluster:  # type: ignore[no-untyped-call]
            number = 4 * max(len(cluster.scheduler_info()["workers"]), 1)
            parts = [origins[place::number] for place in range(min(number, len(origins)))]
            tasks = cluster.map(made, parts, pure=False)
            yield from (rows for _, rows in as_completed(tasks, with_results=True))  # type: ignore[no-untyped-call]


def _origins(journeys: Journeys, question: Question) -> list[float]:
    """Return at which ends of buckets a forecast could have been made, some of them if they are many."""
    edges = _edges(journeys, question.size)
    edges = edges[edges >= journeys.begin + LEAST_BUCKETS * question.size * 0.999][:-1]
    every = ceil(len(edges) / MOST_ORIGINS) or 1
    return [float(edge) for edge in edges[::-1][::every][::-1]]


def _edges(journeys: Journeys, size: float) -> np.ndarray:
    """Return the edges of all buckets since the recording began, of which the last one ends now."""
    number = floor((journeys.end - journeys.begin) / size)
    return journeys.end - size * np.arange(number, -1, -1.0)


def _bucket_of(journeys: Journeys, team: Items) -> str:
    """Return the longest bucket up to a day of which a whole window is recorded, else the shortest.

    In half of them at least one task must have been finished; if that is in none, it is a week.
    """
    fitting = []
    middle = (team.finished.low + team.finished.high) / 2
    for name, size in BUCKETS.items():
        edges = _edges(journeys, size)[-WINDOW - 1 :]
        if len(edges) > 1 and np.median(np.histogram(middle, edges)[0]) >= 1:
            fitting.append((name, len(edges) > WINDOW))
    whole = [name for name, is_whole in fitting if is_whole and name != "1 w"]
    return whole[-1] if whole else fitting[0][0] if fitting else "1 w"


def _at(values: np.ndarray, percent: float) -> float:
    """Return the value that so many per cent of sorted ones don't exceed; NaN if there are none."""
    return float(values[ceil(percent / 100 * len(values)) - 1]) if len(values) else np.nan


def _date(moment: Any) -> str:
    """Return a moment in local time with its zone, to the minute."""
    if pd.isna(moment):
        return NO_DATE
    return f"{pd.Timestamp(moment).to_pydatetime().astimezone():%Y-%m-%d %H:%M %Z}"
