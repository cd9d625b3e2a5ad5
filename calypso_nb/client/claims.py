"""Claims: who works on what, said as honestly as TinyTask allows."""

from __future__ import annotations

from calypso_nb.client.tasks import TaskMethods
from calypso_nb.errors import TinytaskAPIError, TinytaskClientError, TinytaskConnectionError
from calypso_nb.records import Claim, Outcome, Task

# How TinyTask says, in both generations, that an agent has nothing to sign up for. It is not an error.
NOTHING_IDLE = "No idle tasks"


class ClaimMethods(TaskMethods):
    """TinyTask's signup, and what it lacks: a claim of one task, and of the next that is not blocked."""

    def signup_for_task(self, agent_name: str) -> Task | None:
        """Claim the most urgent idle task that is assigned to an agent, in one step; None where none is.

        No two callers get the same task. TinyTask hands out blocked tasks too: `claim_next` does not.
        Example: `client.signup_for_task("alice")`
        """
        answer = self._source.ask("signup_for_task", {"agent_name": agent_name}, write=True)
        if isinstance(answer, str) and answer.startswith(NOTHING_IDLE):
            return None
        task = self._object("signup_for_task", answer, write=True)
        with self._understood("signup_for_task", write=True):
            return Task.from_record(task)

    def claim_task(self, task_id: int, agent: str) -> Claim:
        """Set one task working for an agent, if it is idle, not blocked and not another's, and say what came.

        TinyTask has no way to do this in one step: the task is looked at, set, and looked at again. Where two
        callers do that at the same moment, the later one has the task; the earlier one is told `taken` if its
        second look comes after, and otherwise both are told `claimed`. `claim_next` has no such gap. A task
        that the agent itself is working on already is `taken` too.
        Example: `if client.claim_task(7, "alice"): ...`
        """
        task = self._found(task_id)
        outcome = _refusal(task, agent)
        if outcome is not None:
            return Claim(outcome, task_id, agent, task)
        try:
            self.update_task(task_id, status="working", assigned_to=agent)
        except TinytaskAPIError:
            if (task := self._found(task_id)) is None:
                return Claim("unknown", task_id, agent, None)
            raise
        try:
            task = self._found(task_id)
        except TinytaskClientError as error:
            message = f"claim_task set task {task_id} working for {agent} and could not look again: {error}"
            raise TinytaskConnectionError(message, outcome_unknown=True) from error
        if task is not None and (task.status, task.assigned_to, task.archived_at) == ("working", agent, None):
            return Claim("claimed", task_id, agent, task)
        return Claim(_refusal(task, agent) or "taken", task_id, agent, task)

    def claim_next(self, agent: str) -> Task | None:
        """Claim the most urgent idle task of an agent that is not blocked, in one step; None where none is.

        A blocked task that TinyTask hands out is kept aside until the next ready one is found, and then put
        back, idle again; so each is handed out once at most. If the process dies in between, those kept aside
        stay `working` for the agent: `list_tasks(assigned_to=agent, status="working")` shows them blocked,
        and `requeue_task` puts them back. If the server goes away, the error names them.
        Example: `task = client.claim_next("alice")`
        """
        aside: list[int] = []
        ready: Task | None = None
        try:
            while (task := self.signup_for_task(agent)) is not None:
                if not task.is_currently_blocked:
                    ready = task
                    break
                if task.id in aside:  # Somebody else has put it back meanwhile.
                    break
                aside.append(task.id)
                if not self._has_ready(agent):
                    break
        finally:
            self._put_back(aside, agent, ready)
        return ready

    def _found(self, task_id: int) -> Task | None:
        """The task, or None where the server has none of that number, archived or not."""
        try:
            return self.get_task(task_id)
        except TinytaskAPIError:
            # Only the words of the refusal say why; the list of all tasks says it for certain.
            if any(record["id"] == task_id for record in self.list_task_records(include_archived=True)):
                raise
            return None

    def _has_ready(self, agent: str) -> bool:
        queue = self.get_my_queue(agent)
        return bool(((queue["status"] == "idle") & ~queue["is_currently_blocked"].fillna(False)).any())

    def _put_back(self, task_ids: list[int], agent: str, ready: Task | None) -> None:
        stuck: dict[int, TinytaskClientError] = {}
        for task_id in task_ids:
            try:
                task = self._found(task_id)
                if task is not None and (task.status, task.assigned_to) == ("working", agent):
                    self.requeue_task(task_id)
            except TinytaskClientError as error:
                stuck[task_id] = error
        if stuck:
            got = f"; task {ready.id} is claimed" if ready is not None else ""
            first = next(iter(stuck.values()))
            raise TinytaskConnectionError(
                f"claim_next was handed blocked tasks and could not put back {', '.join(map(str, stuck))}, "
                f"which may still be working for {agent}{got}: {first}",
                outcome_unknown=True,
            ) from first


def _refusal(task: Task | None, agent: str) -> Outcome | None:
    """Why an agent cannot have a task; None where it can."""
    if task is None:
        return "unknown"
    if task.archived_at is not None:
        return "archived"
    if task.status == "complete":
        return "complete"
    if task.status != "idle":
        return "taken"
    if task.assigned_to not in (None, agent):
        return "other_agent"
    return "blocked" if task.is_currently_blocked else None
