"""The workers of a Dask cluster as places for runs: each is looked at before anything is handed to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from calypso_nb.errors import UsageError
from calypso_nb.scheduler import on_worker
from calypso_nb.scheduler.process import LOG
from calypso_nb.scheduler.recipes import Recipe, read_recipes

if TYPE_CHECKING:
    from calypso_nb.scheduler.run import Run, StopSignal

_SECONDS = 20.0
_PIECE_BYTES = 1 << 20
# The kinds of recipes, by what they need of a worker.
_NEEDS = {"notebook": "papermill"}


class Workers(Executor):
    """Those workers of a Dask cluster that can run tasks.

    - cluster: a `distributed.Client`
    - recipes, runs: the folders with the recipes, and for the runs, which each worker must have
    - goose: the path of goose, if it is not on the PATH
    """

    def __init__(self, cluster: Any, recipes: Path, runs: Path, goose: str | None = None) -> None:
        self._cluster = cluster
        self._recipes, self._runs = recipes.resolve(), runs.resolve()
        self._goose = goose
        self._fit: dict[str, int] = {}
        self.faults: list[str] = []

    def look(self) -> None:
        """Find out which workers can run tasks, and what is wrong with the others: `places` and `faults`."""
        known: Mapping[str, Mapping[str, Any]] = self._cluster.scheduler_info()["workers"]
        recipes = read_recipes(self._recipes, elsewhere=True)
        arguments = (str(self._recipes), str(self._runs), self._goose or "goose")
        found = self._ask(_from_text("look"), *arguments) if known else {}
        self._fit, self.faults = {}, [] if known else ["the Dask cluster has no worker"]
        for address, about in known.items():
            if faults := _faults(found.get(address), recipes):
                self.faults.append(f"worker {about.get('name', address)} {', '.join(faults)}")
            else:
                self._fit[address] = int(about["nthreads"])

    @property
    def places(self) -> int:
        """How many tasks the workers that can run some can run at a time."""
        return sum(self._fit.values())

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function on one of the workers that can."""
        here = self._cluster.get_executor(
            pure=False, retries=0, workers=[*self._fit], allow_other_workers=False
        )
        future: Future[Any] = here.submit(function, *args, **kwargs)
        return future

    def fetch(self, run: Run, runs: Path) -> None:
        """Copy the output of a run from its worker into a folder of runs, unless it is there already."""
        if run.folder is None or run.worker is None:
            return
        target = runs / Path(run.folder).name / LOG
        if target.exists():
            return
        if piece := self.piece(run.folder, 0, [run.worker]):
            target.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
            target.touch(mode=0o600)
            with target.open("wb") as file:
                while piece:
                    file.write(piece)
                    piece = self.piece(run.folder, file.tell(), [run.worker])

    def piece(self, folder: str, offset: int, workers: list[str] | None = None) -> bytes:
        """Return a piece of the output of a run from an offset on, from whichever of the workers has it."""
        path = str(Path(folder) / LOG)
        found = self._ask(_from_text("piece"), path, offset, _PIECE_BYTES, workers=workers)
        return max((piece for piece in found.values() if isinstance(piece, bytes)), key=len, default=b"")

    def _ask(
        self, function: Callable[..., Any], *args: Any, workers: list[str] | None = None
    ) -> dict[str, Any]:
        """Return what a function returns on each worker, or the error that it raised there."""
        # A worker that hangs would be waited for without an end.
        with_end = ThreadPoolExecutor(1, "calypso-nb-dask")
        try:
            asked = with_end.submit(self._cluster.run, function, *args, workers=workers, on_error="return")
            answers: dict[str, Any] = asked.result(_SECONDS)
        except (OSError, TimeoutError):
            return {}
        finally:
            with_end.shutdown(wait=False)
        return answers


@contextmanager
def cluster_at(address: str) -> Iterator[Any]:
    """Yield a client of a Dask cluster; raise UsageError for no address, OSError if nobody is there."""
    from distributed import Client

    try:
        cluster: Any = Client(address)  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise UsageError(str(error)) from None
    with cluster:
        yield cluster


def stop_event(cluster: Any) -> StopSignal:
    """Return an event that the processes of a cluster can see."""
    from distributed import Event

    event: StopSignal = Event(f"calypso-nb-{uuid4().hex}", client=cluster)  # type: ignore[no-untyped-call]
    return event


def worker_here() -> str | None:
    """Return the address of the Dask worker that this process is, if it is one."""
    with suppress(ImportError, ValueError):
        from distributed import get_worker

        return str(get_worker().address)
    return None


def _from_text(name: str) -> Callable[..., Any]:
    """Return a function of `on_worker` that takes its code along, as those of a notebook do."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(Path(on_worker.__file__).read_text("utf-8"), on_worker.__file__, "exec"), names)
    function: Callable[..., Any] = names[name]
    return function


def _faults(found: Any, recipes: Mapping[str, Recipe]) -> list[str]:
    """Return what keeps a worker from running tasks by these recipes."""
    if not isinstance(found, dict):
        return ["does not respond" if found is None else f"can't be asked: {type(found).__name__}: {found}"]
    if not found["importable"]:
        return ["has no calypso_nb: pip install 'calypso_nb[run]' there"]
    faults = []
    if None not in (found["version"], own := _own_version()) and found["version"] != own:
        faults.append(f"has calypso_nb {found['version']}, and this is {own}")
    kinds = {recipe.kind for recipe in recipes.values() if recipe.fault is None}
    needed = {"psutil", "yaml"} | {_NEEDS[kind] for kind in kinds if kind in _NEEDS}
    if lacking := sorted(needed & {*found["lacking"]}):
        faults.append(f"lacks {', '.join(lacking)}")
    if found["recipes"] is None:
        faults.append("does not have the recipes folder")
    elif missing := sorted({recipe.path.name for recipe in recipes.values()} - {*found["recipes"]}):
        faults.append(f"lacks the recipes {', '.join(missing)}")
    if "goose" in kinds and not found["goose"]:
        faults.append("has no goose")
    if not found["writable"]:
        faults.append("can't write to the runs folder")
    return faults


def _own_version() -> str | None:
    try:
        return version("calypso_nb")
    except PackageNotFoundError:
        return None
