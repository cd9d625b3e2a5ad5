"""Forecasts: when it will be done, how many by a date, and how often that was right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest

from calypso_nb import History
from calypso_nb.errors import UsageError
from calypso_nb.flow.forecast import (
    DATE_COLUMNS,
    LEAST_ORIGINS,
    RECORD_COLUMNS,
    Forecast,
    Question,
    forecasts_at,
)
from calypso_nb.flow.items import DAY, HOUR, Bounds, Selection
from calypso_nb.flow.sampling import Past, block_of, counted, readings, simulate
from calypso_nb.frames import schema
from calypso_nb.history.changes import moment_of
from calypso_nb.history.journeys import Journeys
from tests.pasts import DAYS, START, WORLDS, finishes, recorded, world


def forecast(journeys: Journeys, selection: Selection | None = None, **options: Any) -> Forecast:
    return Forecast(journeys, selection or Selection(), **{"progress": False, "trials": 1_000} | options)


def steady(days: int = DAYS, open_tasks: int = 20) -> Journeys:
    """Exactly two tasks a day."""
    return recorded(np.full(days, 2), open_tasks)


def moment(journeys: Journeys, days: float) -> datetime:
    """A moment some days after the last that is known."""
    return moment_of(int(journeys.end + days * DAY))


def test_a_team_that_always_finishes_two_a_day_needs_ten_days_for_twenty() -> None:
    found = forecast(steady())
    assert found.dates["corrected"].tolist() == [moment(steady(), 10)] * 3
    assert found.dates["raw"].tolist() == [moment(steady(), 10)] * 3
    assert found.held[0] == 1.0
    assert "done by 2026-10-09 09:00 UTC with 85 % certainty" in found.answer


def test_a_team_that_always_finishes_two_a_day_finishes_ten_in_five_days() -> None:
    found = forecast(steady(), by=moment(steady(), 5))
    assert found.counts["corrected"].tolist() == [10, 10, 10]
    assert "with 85 % certainty 10 or more done by 2026-10-04 09:00 UTC" in found.answer
    assert forecast(steady(), by=moment(steady(), 50)).counts["corrected"].tolist() == [20, 20, 20]


def test_the_same_seed_gives_the_same_answer_and_is_printed() -> None:
    past = recorded(world("stable", 1, DAYS), 30)
    assert str(forecast(past, seed=7)) == str(forecast(past, seed=7))
    assert "seed 7" in str(forecast(past, seed=7))
    assert not np.array_equal(forecast(past, seed=7).raw, forecast(past, seed=8).raw)


def test_with_fewer_than_twenty_checked_forecasts_there_is_no_date() -> None:
    found = forecast(steady(days=14 + 10 + 9))
    assert (
        found.answer == "all 20 open tasks: not enough history: 10 of 20 forecasts of the past can be checked"
    )
    assert found.dates[["corrected", "raw", "growing"]].isna().all(axis=None)
    by = forecast(steady(days=14 + 10 + 9), by=moment(steady(days=33), 10))
    assert by.counts[["corrected", "raw"]].isna().all(axis=None)
    assert "2026" not in by.answer
    assert "done by" not in str(found)
    enough = forecast(steady(days=14 + 10 + LEAST_ORIGINS - 1))
    assert len(enough.record) == LEAST_ORIGINS
    assert enough.dates["corrected"].notna().all()


def test_with_fewer_than_fourteen_recorded_buckets_it_says_how_many_are_missing() -> None:
    assert "not enough history: 2 of 14 recorded buckets of 1 d" in forecast(steady(days=2)).answer


def test_what_has_never_been_finished_is_not_forecast() -> None:
    past = recorded(np.full(60, 2), 10)
    new = past.steps["task_id"] > 120
    past.steps.loc[new, "tags"] = pd.Series([("new",)] * int(new.sum()), past.steps.index[new])
    assert "too little of it has been finished" in forecast(past, Selection(tag="new")).answer


def test_a_selection_goes_by_what_was_finished_of_it_and_else_by_its_share_of_the_teams() -> None:
    past = recorded(np.full(DAYS, 4), 20)
    odd = past.steps["task_id"] % 2 == 1
    rare = past.steps["task_id"] % 40 == 1
    past.steps["tags"] = [
        ("odd", "rare") if r else ("odd",) if o else () for o, r in zip(odd, rare, strict=True)
    ]
    half = forecast(past, Selection(tag="odd"))
    assert "120 finished tasks of tag odd in 60 recorded buckets" in half.source
    assert half.raw.mean() == pytest.approx(10 / 2, abs=1.5)
    few = forecast(past, Selection(tag="rare"))
    assert "240 finished tasks of the team, 6 of them of tag rare: its share of these" in few.source


def test_half_of_the_futures_end_before_the_middle_date() -> None:
    past = recorded(world("bursty", 3, DAYS), 40)
    found = forecast(past)
    days = (found.dates["raw"] - found.now) / timedelta(days=1)
    for percent, within in zip((50, 85, 95), days, strict=True):
        assert (found.raw <= within).mean() >= percent / 100
        assert (found.raw < within).mean() < percent / 100


def test_what_grows_takes_longer_and_may_never_end() -> None:
    found = forecast(recorded(world("stable", 5, DAYS), 30))
    assert (found.growing >= found.raw).all()
    assert 0 < found.never_share < 1
    never = f"in {100 * found.never_share:.0f} % of futures it isn't over within 500 buckets of 1 d"
    assert never in str(found)


def waiting(*links: tuple[int, int | None], archived: int | None = None) -> Journeys:
    """Two a day; the last tasks wait for each other, by their places counted from the last one back."""
    past = steady()
    steps = past.steps
    last = int(steps["task_id"].max())
    for task, blocker in links:
        steps.loc[steps["task_id"] == last - task, "blocked_by_task_id"] = (
            None if blocker is None else last - blocker
        )
    if archived is not None:
        steps.loc[steps["task_id"] == last - archived, "there"] = False
    return past


def test_nothing_ends_before_the_longest_chain_of_blockers() -> None:
    links = [(task, task + 1) for task in range(15)]
    found = forecast(waiting(*links))
    assert found.chains.length == 16
    assert (found.raw >= found.chains.spans.max(axis=0).min() / DAY).all()
    assert found.dates["raw"][0] > forecast(steady()).dates["raw"][0]
    assert "Its longest chain of blockers has 16 tasks" in str(found)


def test_what_waits_longer_than_a_date_is_not_done_by_it() -> None:
    """Twenty are finished in ten days, but not those that wait for nineteen others."""
    links = [(task, task + 1) for task in range(19)]
    free, chained = (
        forecast(steady(), by=moment(steady(), 10)),
        forecast(waiting(*links), by=moment(steady(), 10)),
    )
    assert free.counts["raw"].tolist() == [20, 20, 20]
    assert chained.counts["raw"].max() < 20


def test_a_date_is_stretched_by_its_record_and_a_chain_is_not() -> None:
    past = waiting(*[(task, task + 1) for task in range(15)])
    found = forecast(past)
    stretched = dict.fromkeys(found.stretch, 3.0)
    found.__dict__["stretch"] = stretched
    late = np.sort(np.maximum(3 * 10, found.chains.spans.max(axis=0) / DAY))[int(0.85 * found.trials) - 1]
    days = (found.dates["corrected"][1] - found.now) / timedelta(days=1)
    assert days == pytest.approx(late, abs=1e-4)


def test_what_waits_in_a_circle_or_for_an_archived_task_never_ends() -> None:
    circle = forecast(waiting((0, 1), (1, 2), (2, 0)))
    assert "never as it is" in circle.answer
    assert circle.dates["corrected"].isna().all()
    stuck = forecast(waiting((0, 1), archived=1))
    last = int(steady().steps["task_id"].max())
    assert f"never as it is: #{last} waits for #{last - 1}, which is archived" in stuck.answer


def test_a_long_chain_is_no_trouble() -> None:
    past = recorded(np.full(DAYS, 2), 3_000)
    last = int(past.steps["task_id"].max())
    waits = past.steps["task_id"] > last - 2_999
    past.steps.loc[waits, "blocked_by_task_id"] = past.steps["task_id"] - 1
    assert forecast(past, trials=100).chains.length == 3_000


def test_a_task_in_progress_takes_longer_than_it_has_been_so() -> None:
    past = waiting((0, 1))
    rows = past.steps["task_id"] == past.steps["task_id"].max() - 1
    past.steps.loc[rows, ["status", "low", "high"]] = ["working", past.end - DAY, past.end - DAY]
    spans = forecast(past).chains.spans
    assert spans.min() >= 0


# Its own record


def question(past: Journeys, tasks: int = 20, buckets: int | None = None) -> Question:
    return Question(Selection(), tasks, buckets, "1 d", 0)


def test_each_past_forecast_is_checked_against_what_came() -> None:
    counts = world("stable", 11, DAYS)
    found = forecast(recorded(counts, 20))
    times = finishes(counts)
    for row in found.record.itertuples():
        made = row.made_at.timestamp() * 1e6
        after = times[times >= made]
        assert row.outcome == np.ceil((after[19] - made) / DAY)
        assert row.held == (row.outcome <= row.promised)
        assert row.needed_85 == pytest.approx(row.outcome / row.promised)
    assert found.held[0] == found.record["held"].mean()


def test_the_promise_and_what_held_are_printed_with_how_sure_that_is() -> None:
    found = forecast(recorded(world("bursty", 2, DAYS), 20))
    share, low, high = found.held
    # Wilson's interval by hand, with z = 1.96.
    n, z = found.independent, 1.959964
    middle, wide = (share + z * z / 2 / n), z * np.sqrt(share * (1 - share) / n + z * z / 4 / n / n)
    assert (low, high) == pytest.approx(
        ((middle - wide) / (1 + z * z / n), min((middle + wide) / (1 + z * z / n), 1))
    )
    assert ("can't support 85 %" in str(found)) == (n < 6)
    of = f"Of {len(found.record)} such forecasts ({n} independent)"
    assert f"{of}, 85 % was promised, {100 * share:.0f} % held" in str(found)


def test_an_origin_knows_nothing_of_what_came_later() -> None:
    past = recorded(world("bursty", 4, DAYS), 20)
    origin = float(START + 60 * DAY)
    [before] = forecasts_at(past, question(past), [origin])
    # All that came to be known later: gone, or with another tag, another end, and more of it.
    steps = past.steps.copy()
    later = steps["known"] > origin
    steps.loc[later, "tags"] = pd.Series([("x",)] * int(later.sum()), steps.index[later])
    steps.loc[later, "status"] = "idle"
    planted = steps[later].assign(task_id=steps["task_id"] + 10_000, status="complete")
    changed = past._replace(steps=pd.concat([steps, planted], ignore_index=True))
    [after] = forecasts_at(changed, question(past), [origin])
    told = ("promised", "made_at")
    assert [before[name] for name in told] == [after[name] for name in told]
    [cut] = forecasts_at(past.known_at(origin), question(past), [origin])
    assert cut["promised"] == before["promised"]


def test_a_forecast_of_the_past_that_must_be_over_and_is_not_has_failed() -> None:
    counts = np.concatenate([np.full(60, 4), np.zeros(30, dtype=int)])
    found = forecast(recorded(counts, 20))
    failed = found.record[found.record["outcome"].isna()]
    assert len(failed) > 5
    assert not failed["held"].any()
    assert np.isinf(found.stretch[85])
    assert found.dates["corrected"].isna().any()
    assert "no date within 500 buckets with 85 % certainty" in found.answer


def test_a_date_is_never_corrected_to_an_earlier_one() -> None:
    for name in WORLDS:
        found = forecast(recorded(world(name, 1, DAYS), 20))
        assert (found.dates["corrected"] >= found.dates["raw"]).all()
        assert all(first <= second for first, second in pairwise(found.dates["corrected"]))


def test_a_team_that_has_changed_is_an_alarm() -> None:
    slower = np.concatenate(
        [np.random.default_rng(1).poisson(9, 90), np.random.default_rng(2).poisson(3, 30)]
    )
    assert "slower than its own past promised" in forecast(recorded(slower, 15)).alarm
    assert not forecast(recorded(world("stable", 3, DAYS), 15)).alarm


@pytest.mark.parametrize("name", ["stable", "drift"])
def test_the_corrected_date_holds_in_most_worlds_and_the_record_says_so(name: str) -> None:
    """Ten worlds by fixed seeds; `python -m tests.bench_forecast` has two hundred of each."""
    held, kept, printed = [], [], []
    for seed in range(10):
        counts = world(name, seed, DAYS + 60)
        found = forecast(recorded(counts[:DAYS], 20, seed), seed=seed)
        done = finishes(counts, seed)[int(counts[:DAYS].sum()) + 19]
        held.append(done <= found.dates["corrected"][1].timestamp() * 1e6)
        printed.append(found.held)
        # What was held out: the forecasts that would have been made in the next forty days.
        later = [float(START + day * DAY) for day in range(DAYS, DAYS + 40, 4)]
        kept += [row["held"] for row in forecasts_at(recorded(counts, 20, seed), question(steady()), later)]
    assert np.mean(held) >= 0.8
    assert np.mean([low <= np.mean(kept) <= high for _, low, high in printed]) >= 0.9


# What is drawn


def test_times_that_are_not_exact_count_once_in_every_reading() -> None:
    rng = np.random.default_rng(0)
    edges = np.arange(11.0)
    exact = readings(rng, Bounds(np.array([0.5, 0.7, 9.0]), np.array([0.5, 0.7, 9.0])), edges)
    assert exact.tolist() == [[2, 0, 0, 0, 0, 0, 0, 0, 0, 1]]
    vague = readings(rng, Bounds(np.array([0.5, 3.0]), np.array([2.5, 3.2])), edges)
    assert (vague.sum(axis=1) == 2).all()
    assert (vague[:, 3] == 1).all()
    assert set(np.flatnonzero(vague.sum(axis=0))) == {0, 1, 2, 3}


def test_each_bucket_of_the_past_is_drawn_as_often_as_any_other() -> None:
    past = Past(np.eye(10, dtype=int)[:1] * 0 + np.arange(10), np.zeros((1, 10)), 1)
    drawn = counted(np.random.default_rng(0), past, 1, np.ones(20_000))
    assert np.bincount(drawn.astype(int), minlength=10) == pytest.approx(np.full(10, 2_000), rel=0.1)


def test_buckets_that_follow_each_other_are_drawn_together_if_they_go_together() -> None:
    waves = np.repeat([0, 8, 0, 8, 0, 8, 0], 7)[None]
    assert block_of(waves, 7) == 7
    assert block_of(np.random.default_rng(1).poisson(4, (1, 60)), 7) == 1


def test_a_trial_that_never_ends_is_given_up() -> None:
    past = Past(np.zeros((1, 20)), np.ones((1, 20)), 1)
    found = simulate(np.random.default_rng(0), past, 3, np.ones(10), 30, grows=True)
    assert np.isinf(found.frozen).all()
    assert np.isinf(found.growing).all()


# What it is asked, and what it gives


def test_frames_are_as_their_tables_say(past: History) -> None:
    found = past.forecast(progress=False, trials=500)
    for frame, columns in ((found.dates, DATE_COLUMNS), (found.record, RECORD_COLUMNS)):
        assert [*frame] == schema(columns)["column"].tolist()
    assert found.record["made_at"].is_monotonic_increasing


@pytest.mark.slow
def test_processes_and_a_cluster_give_the_same_record(past: History) -> None:
    from distributed import LocalCluster

    alone = past.forecast(tag="billing", progress=False, trials=500)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        for workers in (2, cluster.scheduler_address):
            together = past.forecast(tag="billing", progress=False, trials=500, workers=workers)
            pd.testing.assert_frame_equal(alone.record, together.record)


def test_progress_is_told(past: History) -> None:
    told: list[tuple[int, int]] = []
    past.forecast(trials=500, progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] == len(told)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"tag": "biling"}, "no task of the tag 'biling'; did you mean 'billing'?"),
        ({"parent": 999_999}, "#999999: it is not known"),
        ({"by": "2026-01-01"}, "is less than a bucket of 1 d after the last that is known"),
        ({"trials": 5}, "5 trials are too few"),
        ({"workers": 0}, "workers=0: take 1 or more"),
    ],
)
def test_what_cannot_be_answered_is_refused(past: History, asked: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says.replace("?", r"\?")):
        past.forecast(progress=False, **asked)


def test_an_answer_names_its_time_zone_and_its_tasks(past: History) -> None:
    found = past.forecast(tag="billing", progress=False, trials=500)
    assert f"{len(found.tasks)} open tasks of tag billing" in found.answer
    assert datetime.now(UTC).astimezone().tzname() or "" in found.answer
    assert repr(found) == f"<Forecast: {found.answer}>"


def test_blurred_times_make_wider_forecasts() -> None:
    counts = world("bursty", 6, DAYS)
    sharp, blurred = (forecast(recorded(counts, 30, blur=blur)) for blur in (0.0, 36 * HOUR))
    assert blurred.basis is not None
    assert sharp.basis is not None
    assert len(blurred.basis.past.finished) > len(sharp.basis.past.finished) == 1
    assert blurred.dates["raw"].notna().all()
