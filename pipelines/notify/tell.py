"""Tells each target what it has not been told yet: one message a run, which also carries what an earlier one could not deliver."""

from pathlib import Path

import duckdb

from pipelines.failures import Failure
from pipelines.notify.deliver import Outcome, Outgoing, deliver
from pipelines.notify.journal import Journal
from pipelines.notify.log import publish_log, told
from pipelines.notify.message import EVENTS, Message, compose
from pipelines.notify.targets import first_day_of_week, targets
from pipelines.run import PUBLISHED
from pipelines.show import rows

LAST_RUN = "select run_id, run_seq, as_of from marts.runs order by run_seq desc limit 1"


def tell(state: Path) -> None:
    """Raises Failure where a message was not taken: the next one tells it again."""
    to_be_told, first_day, journal = targets(), first_day_of_week(), Journal(state)
    if not to_be_told:
        return
    with duckdb.connect(state / PUBLISHED, read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        run = rows(connection, LAST_RUN)[0]
        before = told(connection, journal)
        outgoing, noted = [], {}
        for target in to_be_told:
            of_target = [row for row in before if row["target"] == target.name]
            if any(row["run_id"] == run["run_id"] and row["status"] != "failed" for row in of_target):
                continue
            since, is_late = told_up_to(of_target, run)
            message = compose(connection, run, since, first_day, is_late)
            if message:
                outgoing.append(Outgoing(target, message.title, message.body, message.kind))
                earlier = next((row["attempts"] for row in of_target if row["run_id"] == run["run_id"]), 0)
                noted[target.name] = as_row(run, target.name, message, since_run(of_target), earlier)
    for row in noted.values():
        journal.begin(row)

    def note(message: Outgoing, outcome: Outcome) -> None:
        journal.end(run["run_id"], message.target.name, outcome.status, outcome.reason, outcome.attempts)

    outcomes = deliver(outgoing, note)
    publish_log(state, journal)
    refuse_undelivered(outgoing, outcomes)


def told_up_to(of_target: list[dict], run: dict) -> tuple[int, bool]:
    """The number of the run up to which a target has been told everything, and whether a later message did not arrive. A target that
    was never told anything is told what this run brings."""
    late = [sequence(row["run_id"]) for row in of_target if row["status"] != "sent" and row["run_id"] != run["run_id"]]
    sent = since_run(of_target)
    since = sequence(sent) if sent else min([*late, run["run_seq"]]) - 1
    return since, any(number > since for number in late)


def since_run(of_target: list[dict]) -> str | None:
    return max((row["run_id"] for row in of_target if row["status"] == "sent"), default=None)


def sequence(run_id: str) -> int:
    return int(run_id[:6])


def as_row(run: dict, target: str, message: Message, since: str | None, attempts: int) -> dict:
    counts = {("news" if event == "new" else event): message.events[event] for event in EVENTS}
    return {
        "run_id": run["run_id"], "target": target, "attempts": attempts, "since_run": since, "is_summary": message.is_summary,
        "untrusted": message.untrusted, **counts, "title": message.title,
    }  # fmt: skip


def refuse_undelivered(outgoing: list[Outgoing], outcomes: list[Outcome]) -> None:
    sentences = [
        outcome.sentence(message.target.name) for message, outcome in zip(outgoing, outcomes, strict=True) if outcome.status != "sent"
    ]
    if sentences:
        raise Failure(
            " ".join(sentences),
            "What is published was left as it is. The next message tells it again; mend it and run tallystick notify to tell it now.",
        )
