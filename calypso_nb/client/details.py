"""Details: what no list of tasks tells, counted for many tasks at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from calypso_nb.client.calls import Base, Counts


class DetailMethods(Base):
    """What a report wants to know of many tasks and TinyTask has no tool for."""

    def count_details(
        self, task_ids: Sequence[int], progress: bool | Callable[[int, int], None] = True
    ) -> Counts:
        """How many comments and links each task has; None and None for a task that has gone meanwhile.

        Costs a request a task, several in flight; with a database file two queries. `progress` shows a bar
        where that takes long; a function gets the number done and the number in all instead, in the caller's
        thread.
        Example: `client.count_details([1, 2])` is `{1: (3, 0), 2: (0, 1)}`
        """
        ids = list(dict.fromkeys(int(task_id) for task_id in task_ids))
        counts: Counts = {}
        with _progress(progress, len(ids)) as done:
            for some in self._source.counts(ids):
                counts |= some
                done(len(counts))
        return counts


@contextmanager
def _progress(progress: bool | Callable[[int, int], None], total: int) -> Iterator[Callable[[int], object]]:
    if callable(progress):
        yield lambda done: progress(done, total)
        return
    from tqdm.auto import tqdm
    from tqdm.notebook import tqdm_notebook

    # In a log file, and for what is over within a second, a bar would only be noise.
    silent = (False if issubclass(tqdm, tqdm_notebook) else None) if progress else True
    with tqdm(total=total, unit="task", leave=False, delay=1, disable=silent) as bar:
        yield lambda done: bar.update(done - bar.n)
