"""Which message went to whom: state/notifications.sqlite, on the disk before a message leaves and again after its answer."""

import sqlite3
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

from pipelines.journals import opened

DDL = """
create table if not exists notifications (
    run_id text not null, target text not null, status text not null check (status in ('sent', 'failed', 'unknown')),
    reason text not null, attempts integer not null, attempted_at text not null, since_run text, is_summary integer not null,
    untrusted integer not null, news integer not null, reopened integer not null, worsened integer not null, overdue integer not null,
    title text not null,
    primary key (run_id, target)
) strict
"""
UNDER_WAY = {"status": "unknown", "reason": "it was under way when the command ended"}


class Journal:
    """A message under way is unknown until its outcome is noted: whoever is killed between the two sends it no second time."""

    def __init__(self, state: Path):
        self.file = state / "notifications.sqlite"

    def rows(self) -> list[dict]:
        if not self.file.exists():
            return []
        with self._open() as connection:
            return [dict(row) | {"is_summary": bool(row["is_summary"])} for row in connection.execute("select * from notifications")]

    def begin(self, row: dict) -> None:
        values = row | UNDER_WAY | {"attempted_at": datetime.now(UTC).isoformat()}
        with self._open() as connection:
            connection.execute(
                f"insert or replace into notifications ({', '.join(values)}) values ({', '.join(f':{name}' for name in values)})", values
            )

    def end(self, run_id: str, target: str, status: str, reason: str, attempts: int) -> None:
        with self._open() as connection:
            connection.execute(
                """
                update notifications set status = ?, reason = ?, attempts = attempts + ?, attempted_at = ?
                where run_id = ? and target = ?
                """,
                [status, reason, attempts, datetime.now(UTC).isoformat(), run_id, target],
            )

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        return opened(self.file, DDL, "messages sent")
