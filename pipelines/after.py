"""What people see of a run, once its tables are published. What fails here is told and undoes nothing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipelines.failures import Failure, first_line

Step = Callable[[Path], None]


def report(state: Path) -> None:
    from pipelines.report import write

    write(state)


def exports(state: Path) -> None:
    from pipelines.exports import write

    write(state)


def postgres(state: Path) -> None:
    from pipelines.publish import publish

    publish(state)


# Each takes the state folder and reads the published warehouse. They run side by side.
STEPS: tuple[Step, ...] = (report, exports, postgres)


def follow(state: Path, steps: tuple[Step, ...] = STEPS) -> list[str]:
    """Runs every step. Returns what failed, a sentence each."""
    with ThreadPoolExecutor() as pool:
        return [told for told in pool.map(lambda step: attempt(step, state), steps) if told]


def attempt(step: Step, state: Path) -> str | None:
    try:
        step(state)
    except Failure as failure:
        return str(failure)
    except Exception as error:  # a fault of ours too: the run is done and its exit code says what it found
        return f"{step.__name__} was not done: {first_line(error)}. The tables are published; mend it and run make reconcile again."
    return None
