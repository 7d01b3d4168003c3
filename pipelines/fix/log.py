"""marts.fix_log of the published warehouse, brought up to the journal. The file is replaced whole, as a run replaces it."""

from pathlib import Path

import duckdb
import pyarrow

from pipelines.fix.journal import Journal
from pipelines.run import PUBLISHED, rewritten

MINE = "log.idempotency_key = attempts.idempotency_key and log.attempt = attempts.attempt"
CHANGED = f"""
from attempts anti join marts.fix_log as log
on {MINE} and (log.verification is not null or (log.outcome = attempts.outcome and log.detail = attempts.detail))
"""


def publish_log(state: Path, journal: Journal) -> None:
    """What a trusted run has verified stays as it is."""
    attempts = journal.attempts()
    if not attempts:
        return
    with duckdb.connect(state / PUBLISHED, read_only=True) as connection:
        connection.register("attempts", pyarrow.Table.from_pylist(attempts))
        if not connection.execute(f"select count(*) {CHANGED}").fetchone()[0]:
            return
    with rewritten(state) as connection:
        connection.register("given", pyarrow.Table.from_pylist(attempts))
        connection.execute(f"create temp table attempts as from given; create temp table changed as {CHANGED}")
        connection.execute(f"delete from marts.fix_log as log using changed as attempts where {MINE}")
        connection.execute("insert into marts.fix_log by name from changed")
