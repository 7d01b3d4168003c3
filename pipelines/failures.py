"""What can end a run, each with its exit code. The text of one is one sentence or two for a person."""


class Failure(Exception):
    """Ends the command with `exit_code`; `way_out` says what state was left and the next command, where the text does not."""

    exit_code = 1
    way_out = "Yesterday's tables are as they were; mend what it names and run make reconcile again."


class BadConfiguration(Failure):
    """A setting is missing, unknown or cannot be read."""

    exit_code = 2
    way_out = "Nothing was touched; correct it and run the command again."


class SourceFailed(Failure):
    """A side could not be read, so nothing was compared."""

    exit_code = 3
    way_out = "Nothing was published, yesterday's tables are as they were; mend the export and run make reconcile again."


class NotTrustworthy(Failure):
    """At least one pair did not pass its trust checks, or a gate did not report."""

    exit_code = 4
    way_out = ""


class AlreadyRunning(Failure):
    """Another run holds the lock."""

    exit_code = 5
    way_out = ""
