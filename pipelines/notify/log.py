"""marts.notifications of the published warehouse, brought up to the journal."""

from pathlib import Path

import duckdb
import pyarrow

from pipelines.notify.journal import Journal
from pipelines.run import PUBLISHED, rewritten
from pipelines.show import rows

TYPED = "from (select * replace (attempted_at::timestamptz as attempted_at) from given)"
MISSING = f"""
select count(*) {TYPED} as journal
anti join marts.notifications as log
    on log.run_id = journal.run_id and log.target = journal.target and log.attempted_at = journal.attempted_at
"""


def told(connection: duckdb.DuckDBPyConnection, journal: Journal) -> list[dict]:
    """Every message, by the table and by the journal, which is right where they differ. A lost journal forgets nothing."""
    by_table = rows(connection, "select * from marts.notifications")
    return list({(row["run_id"], row["target"]): row for row in [*by_table, *journal.rows()]}.values())


def publish_log(state: Path, journal: Journal) -> None:
    noted = journal.rows()
    if not noted:
        return
    given = pyarrow.Table.from_pylist(noted)
    with duckdb.connect(state / PUBLISHED, read_only=True) as connection:
        if not connection.execute(MISSING).fetchone()[0]:
            return
    with rewritten(state) as connection:
        connection.execute(
            """
            delete from marts.notifications as log using given
            where log.run_id = given.run_id and log.target = given.target
            """
        )
        connection.execute(f"insert into marts.notifications by name {TYPED}")
    del given  # DuckDB found it by its name
