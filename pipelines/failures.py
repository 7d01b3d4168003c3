"""What can end a run, each with its exit code. The text of one is one sentence or two for a person."""

import duckdb

OF_THIS_MACHINE = (OSError, MemoryError, duckdb.IOException, duckdb.FatalException, duckdb.OutOfMemoryException)  # disk, memory, rights


class Failure(Exception):
    """Ends the command with `exit_code`. `what` failed, and `way_out`: what state was left and the next command."""

    exit_code = 1
    way_out = "Nothing was published; mend what it names and run make reconcile again."

    def __init__(self, what: str, way_out: str | None = None):
        self.what = what
        super().__init__(f"{what.removesuffix('.')}. {way_out or self.way_out}")


class BadConfiguration(Failure):
    """A setting is missing, unknown or cannot be read."""

    exit_code = 2
    way_out = "Nothing was touched; correct it and run the command again."


class SourceFailed(Failure):
    """A side could not be read, so nothing was compared."""

    exit_code = 3
    way_out = "Nothing was published, yesterday's tables are as they were; mend what it names and run make reconcile again."


class TargetFailed(Failure):
    """A system took no more writes."""

    exit_code = 3
    way_out = "What was written stands in marts.fix_log and nothing is written twice; mend it and run make fix APPLY=1 again."


class Stopped(Failure):
    """A side was not read further because the other one failed."""


class NotTrustworthy(Failure):
    """At least one pair did not pass its trust checks, or a gate did not report."""

    exit_code = 4


class Interrupted(Failure):
    """A person, or the system, wanted an end."""

    exit_code = 130


class AlreadyRunning(Failure):
    """Another run holds the lock."""

    exit_code = 5
    way_out = "Nothing was touched; wait for it, then run again."


def first_line(error: BaseException) -> str:
    """What somebody else's error is and says, for one sentence; some say nothing."""
    return f"{type(error).__name__}: {(str(error).splitlines() or ['no reason given'])[0]}".removesuffix(".")
