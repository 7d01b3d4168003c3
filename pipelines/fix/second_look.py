"""A second look: the records of a plan as both systems have them now, in a snapshot of their own."""

from pathlib import Path

import duckdb
import pyarrow

from pipelines import settings
from pipelines.failures import SourceFailed
from pipelines.fix.standing import Looked, looked
from pipelines.progress import Progress
from pipelines.run import SNAPSHOT, Builder, refuse_errors
from pipelines.sources.side import Only

SELECTED = ("--select", "resource_type:seed", "path:models/staging", "compare_*")

# As the run knew them: by which keys and ids the systems are asked.
KNOWN = """
select reconciliation, system, table_name, stated_key, id
from snapshot.staging.own_ids semi join planned using (reconciliation, record_key)
"""


def look_again(builder: Builder, folder: Path, planned: list[dict], progress: Progress) -> dict[str, Looked]:
    """By idempotency key. Raises Failure; nothing was written then."""
    from pipelines.pull import pull, record_asked

    given = pyarrow.Table.from_pylist([with_sides(row) for row in planned])
    unused = pull(folder, progress.pulled, only(folder.parent, planned, given))
    record_asked(folder, sorted({(row["reconciliation"], row["record_key"]) for row in planned}))
    builder.gates()
    excluded = [argument for name in unused for argument in ("--exclude", f"path:models/staging/{name}")]
    no_tests = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")
    refuse_errors(builder.build(["build", *no_tests, *SELECTED, *excluded]))
    with snapshot(folder / SNAPSHOT) as connection:
        connection.register("planned", given)
        refuse_unfinished(connection)
        return looked(connection)


def with_sides(row: dict) -> dict:
    pair = settings.project_vars()["reconciliations"][row["reconciliation"]]
    target = "left" if pair["left"]["system"] == row["target_system"] else "right"
    other = pair["right" if target == "left" else "left"]["system"]
    return row | {"target_side": target, "target_tables": pair[target]["tables"], "other_system": other}


def snapshot(file: Path) -> duckdb.DuckDBPyConnection:
    """Under the name that its views know it by."""
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    connection.execute(f"attach '{settings.quoted(file)}' as snapshot (read_only)")
    return connection


def only(state: Path, planned: list[dict], given: pyarrow.Table) -> dict[str, Only]:
    """System by system what is read: the pairs' records by the key as their first table states it, and the ids that the run knew."""
    asked: dict[str, Only] = {}
    first_tables = {}
    for row in planned:
        pair = settings.project_vars()["reconciliations"][row["reconciliation"]]
        for side in (pair["left"], pair["right"]):
            first_tables[row["reconciliation"], side["system"]] = side["tables"][0]
            keys = asked.setdefault(side["system"], Only({}, {})).keys.setdefault(side["tables"][0], [])
            keys.append(row["record_key"])
    with snapshot(state / "before" / f"{planned[0]['run_id']}.duckdb") as connection:
        connection.register("planned", given)
        known = connection.execute(KNOWN).fetchall()
    for pair, system, table, key, own_id in known:
        if first_tables[pair, system] == table:
            asked[system].keys[table].append(key)
        if own_id is not None:
            asked[system].ids.setdefault(table, []).append(own_id)
    return {system: Only(each_once(of.keys), each_once(of.ids)) for system, of in asked.items()}


def each_once(lists: dict[str, list[str]]) -> dict[str, list[str]]:
    return {table: sorted(set(values)) for table, values in lists.items()}


def refuse_unfinished(connection: duckdb.DuckDBPyConnection) -> None:
    """Raises SourceFailed: what was not read to its end says nothing of what is not there."""
    unfinished = connection.execute("select system, table_name, end_evidence from snapshot.pulls.tables where not end_seen").fetchone()
    if unfinished:
        raise SourceFailed("{}: {} was not read to its end: {}".format(*unfinished))
