"""What can end a run, each with its exit code. The text of one is one sentence or two for a person."""


class Failure(Exception):
    """Ends the command with `exit_code`."""

    exit_code = 1


class BadConfiguration(Failure):
    """A setting is missing, unknown or cannot be read."""

    exit_code = 2


class SourceFailed(Failure):
    """A side could not be read, so nothing was compared."""

    exit_code = 3


class NotTrustworthy(Failure):
    """At least one pair did not pass its trust checks, or a gate did not report."""

    exit_code = 4


class AlreadyRunning(Failure):
    """Another run holds the lock."""

    exit_code = 5
