"""The records of a plan as both systems have them now, and which of the planned writes still stand."""

import json
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow

from pipelines import settings
from pipelines.failures import SourceFailed
from pipelines.progress import Progress
from pipelines.run import SNAPSHOT, Builder, refuse_errors
from pipelines.sources.side import Only
from pipelines.targets.target import TargetSettings

SELECTED = ("--select", "resource_type:seed", "path:models/staging", "compare_*")

# As the run knew them: by which keys and ids the systems are asked.
KNOWN = """
select table_name, stated_key, id, system, record_key, reconciliation
from snapshot.staging.own_ids semi join planned using (reconciliation, record_key)
"""

STANDING = """
with looked as ({looked}),

sides as (
    select
        planned.*, key, state, looked.record_key is not null as was_looked_at,
        if(target_side = 'left', left_copies, right_copies) as target_copies,
        if(target_side = 'left', right_copies, left_copies) as other_copies,
        if(target_side = 'left', left_in_scope, right_in_scope) as target_in_scope,
        if(target_side = 'left', right_in_scope, left_in_scope) as other_in_scope,
        if(target_side = 'left', looked.left_value, looked.right_value) as target_now,
        if(target_side = 'left', looked.right_value, looked.left_value) as other_now,
        if(target_side = 'left', planned.left_value, planned.right_value) as target_planned,
        if(target_side = 'left', planned.right_value, planned.left_value) as other_planned,
        if(target_side = 'left', right_record, left_record) as other_record
    from planned
    left join looked
        on looked.reconciliation = planned.reconciliation and looked.record_key = planned.record_key and looked.field = planned.field
)

select
    idempotency_key,
    key,
    other_record,
    case
        when not was_looked_at then 'it was not read again'
        when target_copies > 1 then 'the key stands more than once in ' || target_system
        when other_copies > 1 then 'the key stands more than once in ' || other_system
        when operation = 'create' and target_copies = 1 then 'it is in ' || target_system || ' by now'
        when operation != 'create' and target_copies = 0 then 'it is gone from ' || target_system
        when (operation = 'create' or field != '') and other_copies = 0 then 'it is gone from ' || other_system
        when operation != 'create' and field = '' and other_copies = 1 then 'it is in ' || other_system || ' by now'
        when not target_in_scope and not other_in_scope then 'it counts on neither side any more'
        when target_now is distinct from target_planned
            then format('{{}} says {{}} by now, not {{}}', target_system, ifnull(target_now, 'nothing'), ifnull(target_planned, 'nothing'))
        when other_now is distinct from other_planned
            then format('{{}} says {{}} by now, not {{}}', other_system, ifnull(other_now, 'nothing'), ifnull(other_planned, 'nothing'))
    end as dropped_because,
    coalesce(case operation
        when 'create' then target_copies = 1
        when 'delete' then target_copies = 0
        when 'end' then target_copies = 1 and not target_in_scope and other_now is not distinct from other_planned
        else state = 'agrees' and other_now is not distinct from other_planned
    end, false) as is_as_written
from sides
"""

# Which word a system writes for a status stands in the seed, once for each system, table and status.
WORDS = "select system, table_name, status, word from snapshot.seeds.status_map where is_written"


@dataclass(frozen=True)
class Looked:
    """One planned write after the second look. `dropped_because` is None where it stands as planned."""

    dropped_because: str | None
    is_as_written: bool
    key: str
    stated_key: str | None
    ids: dict[str, list[str]]
    record: dict[str, str | None]


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
        return looked(connection, planned)


def with_sides(row: dict) -> dict:
    pair = settings.project_vars()["reconciliations"][row["reconciliation"]]
    target = "left" if pair["left"]["system"] == row["target_system"] else "right"
    other = pair["right" if target == "left" else "left"]["system"]
    return row | {"target_side": target, "other_system": other}


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
    before = state / "before" / f"{planned[0]['run_id']}.duckdb"
    if before.exists():
        with snapshot(before) as connection:
            connection.register("planned", given)
            known = connection.execute(KNOWN).fetchall()
        for table, key, own_id, system, _, pair in known:
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


def looked(connection: duckdb.DuckDBPyConnection, planned: list[dict]) -> dict[str, Looked]:
    tables = connection.execute("select table_name from duckdb_tables() where database_name = 'snapshot' and schema_name = 'compare'")
    union = " union all by name ".join(f'select * from snapshot.compare."{table}"' for (table,) in tables.fetchall())
    standing = {key: found for key, *found in connection.execute(STANDING.format(looked=union)).fetchall()}
    known = connection.execute(KNOWN).fetchall()
    words = connection.execute(WORDS).fetchall() if any(row["operation"] == "create" for row in planned) else []
    return {row["idempotency_key"]: as_looked(row, standing[row["idempotency_key"]], known, words) for row in planned}


def as_looked(row: dict, standing: list, known: list[tuple], words: list[tuple]) -> Looked:
    key, record, dropped_because, is_as_written = standing
    mine = [found for found in known if found[-3:] == (row["target_system"], row["record_key"], row["reconciliation"])]
    ids: dict[str, list[str]] = {}
    for table, _, own_id, *_ in mine:
        if own_id is not None:
            ids.setdefault(table, []).append(own_id)
    first = TargetSettings(row["target_system"]).tables_of(row["reconciliation"])[0]
    stated_key = next((stated for table, stated, *_ in mine if table == first), None)
    return Looked(dropped_because, is_as_written, key, stated_key, ids, to_create(row, record, words))


def to_create(row: dict, record: str | None, words: list[tuple]) -> dict[str, str | None]:
    """The record as the system of record has it, its status in the target's word."""
    if row["operation"] != "create" or record is None:
        return {}
    values, target = json.loads(record), row["target_system"]
    tables = TargetSettings(target).tables_of(row["reconciliation"])
    mine = [word for system, table, status, word in words if (system, status) == (target, values.get("status")) and table in tables]
    return values | ({"status": mine[0] if mine else None} if "status" in values else {})
