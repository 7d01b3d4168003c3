"""What was sent, and what came of it: state/fixes.sqlite, which is on the disk before a request leaves and again after its answer.

It is the only memory of a write between the request and the next trusted run, so one that can't be read ends the command.
"""

import sqlite3
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

from pipelines.journals import opened

DDL = """
create table if not exists attempts (
    idempotency_key text not null, attempt integer not null, discrepancy_id text not null, run_id text not null,
    reconciliation text not null, target_system text not null, operation text not null, record_key text not null, field text not null,
    from_value text, to_value text, attempted_at text not null,
    outcome text check (outcome in ('written', 'refused', 'dropped', 'unknown')), detail text not null,
    primary key (idempotency_key, attempt)
) strict
"""
OF_THE_PLAN = (
    *("idempotency_key", "discrepancy_id", "run_id", "reconciliation", "target_system"),
    *("operation", "record_key", "field", "from_value", "to_value"),
)
NO_OUTCOME = {"outcome": "unknown", "detail": "sent, and no answer was noted"}


class Journal:
    """An attempt without an outcome is one that was under way when the last apply ended."""

    def __init__(self, state: Path):
        self.file = state / "fixes.sqlite"

    def attempts(self) -> list[dict]:
        """Every attempt, oldest first. One without an outcome may have been written: it is unknown to whoever reads this."""
        if not self.file.exists():
            return []
        with self._open() as connection:
            rows = connection.execute("select * from attempts order by attempted_at, idempotency_key, attempt").fetchall()
        return [dict(row) | (NO_OUTCOME if row["outcome"] is None else {}) for row in rows]

    def under_way(self) -> set[str]:
        """The idempotency keys of attempts without an outcome."""
        return self._keys("outcome is null")

    def done(self) -> set[str]:
        """The idempotency keys of what was written, or may have been, and is not to be written again."""
        return self._keys("outcome in ('written', 'unknown')")

    def refused(self) -> set[str]:
        """The idempotency keys of what a target would not take."""
        return self._keys("outcome = 'refused'") - self.done()

    def begin(self, row: dict) -> None:
        """A planned write is about to be sent. One that is under way already goes on."""
        self._add(row, None, "")

    def leave(self, row: dict, outcome: str, why: str) -> None:
        """A planned write that was not sent: `dropped`, or `refused` before anybody was asked."""
        self._add(row, outcome, why)

    def end(self, idempotency_key: str, outcome: str, detail: str) -> None:
        with self._open() as connection:
            connection.execute(
                "update attempts set outcome = ?, detail = ? where idempotency_key = ? and outcome is null",
                [outcome, detail, idempotency_key],
            )

    def _add(self, row: dict, outcome: str | None, detail: str) -> None:
        values = {name: row[name] for name in OF_THE_PLAN}
        values |= {"attempted_at": datetime.now(UTC).isoformat(), "outcome": outcome, "detail": detail}
        with self._open() as connection:
            connection.execute(
                f"""
                insert into attempts ({", ".join(values)}, attempt)
                select {", ".join(f":{name}" for name in values)}, 1 + coalesce(max(attempt), 0) from attempts
                where idempotency_key = :idempotency_key
                having count(*) filter (where outcome is null) = 0
                """,
                values,
            )

    def _keys(self, condition: str) -> set[str]:
        if not self.file.exists():
            return set()
        with self._open() as connection:
            return {row["idempotency_key"] for row in connection.execute(f"select idempotency_key from attempts where {condition}")}

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        return opened(self.file, DDL, "what was written")
