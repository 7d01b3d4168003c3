"""What follows a published run: a step that fails is told, and ends neither the others nor the run."""

from pathlib import Path

from pipelines import after
from pipelines.failures import Failure


def test_a_step_that_fails_is_told_and_the_others_are_done(tmp_path):
    def refused(_: Path) -> None:
        raise Failure("Nobody is there", "Nothing was touched; run it again.")

    def ours(_: Path) -> None:
        raise KeyError("a word")

    def done(state: Path) -> None:
        (state / "done").touch()

    assert after.follow(tmp_path, (refused, ours, done)) == [
        "Nobody is there. Nothing was touched; run it again.",
        "ours was not done: KeyError: 'a word'. The tables are published; mend it and run make reconcile again.",
    ]
    assert (tmp_path / "done").exists()
