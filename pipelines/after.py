"""What people see of a run, once its tables are published. What fails here is told and undoes nothing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipelines.failures import Failure, first_line
from pipelines.notify import notify

Step = Callable[[Path], None]
Stages = tuple[tuple[Step, ...], ...]


def report(state: Path) -> None:
    from pipelines.report import write

    write(state)


def exports(state: Path) -> None:
    from pipelines.exports import write

    write(state)


def postgres(state: Path) -> None:
    from pipelines.publish import publish

    publish(state)


# Each takes the state folder and reads the published warehouse. What is in one row runs side by side; who is told finds the rest done.
STAGES: Stages = ((report, exports, postgres), (notify,))
IN_THE_STATE_FOLDER = ((report, exports),)  # of a night that is only played: it is nobody's news, and no database's


def follow(state: Path, *stages: tuple[Step, ...]) -> list[str]:
    """Runs the steps. Returns what failed, a sentence each."""
    outcomes = []
    for steps in stages:
        with ThreadPoolExecutor() as pool:
            outcomes += pool.map(lambda step: attempt(step, state), steps)
    return [outcome for outcome in outcomes if outcome]


def attempt(step: Step, state: Path) -> str | None:
    try:
        step(state)
    except Failure as failure:
        return str(failure)
    except Exception as error:  # a fault of ours too: the run is done and its exit code says what it found
        return f"{step.__name__} was not done: {first_line(error)}. The tables are published; mend it and run make reconcile again."
    return None
