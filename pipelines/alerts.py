"""What people are told where no run could tell them: it did not finish, or there was none."""

from datetime import UTC, datetime

from pipelines import run, settings, show
from pipelines.failures import Failure

STALE_AFTER_HOURS = 36
FINISHED = ("0", "4", "6")
REASONS = {"1": "an internal error", "2": "bad configuration", "3": "a source failed", "5": "another run was going on"}


def freshness() -> tuple[str, bool]:
    """When each pair's last trusted run was, and whether none is stale."""
    with run.published() as connection:
        return show.freshness(connection, settings.fixed_clock() or datetime.now(UTC), STALE_AFTER_HOURS)


def stale(text: str, failure: Failure) -> list[str]:
    """Returns what could not be delivered, a sentence each."""
    return send("Tallystick: no trusted run of late", f"{failure}\n\n{text}".strip())


def did_not_finish(ended: str) -> list[str]:
    """Nothing is sent where it finished: of that the run itself has told. Returns what could not be delivered, a sentence each."""
    if ended in FINISHED:
        return []
    try:
        text, _ = freshness()
    except Failure as failure:
        text = str(failure)
    told = f"exit code {ended}, {REASONS[ended]}" if ended in REASONS else ended
    return send("Tallystick: the run did not finish", f"How it ended: {told}. Its log says why.\n\n{text}")


def send(title: str, body: str) -> list[str]:
    from pipelines import notify

    return notify.send(title, body)
