"""Which of the planned writes still stand, from a second look's snapshot, and what a target must know to write them."""

import json
from dataclasses import dataclass

import duckdb

# `planned` is the plan with the sides of its pairs, `looked` what second_look() made of every pair.
STANDING = """
with looked as ({looked}),

own_rows as (
    select
        planned.idempotency_key, own_ids.table_name,
        any_value(own_ids.stated_key) filter (own_ids.table_name = planned.target_tables[1]) as stated_key,
        list(own_ids.id order by own_ids.id) filter (own_ids.id is not null) as ids
    from planned
    inner join snapshot.staging.own_ids as own_ids
        on own_ids.reconciliation = planned.reconciliation
        and own_ids.record_key = planned.record_key
        and own_ids.system = planned.target_system
    group by all
),

own as (
    select
        idempotency_key, max(stated_key) as stated_key,
        map_from_entries(list((table_name, ids)) filter (ids is not null)) as ids
    from own_rows
    group by all
),

sides as (
    select
        planned.*, looked.key, looked.state, own.stated_key, own.ids,
        looked.record_key is not null as was_looked_at,
        if(target_side = 'left', left_copies, right_copies) as target_copies,
        if(target_side = 'left', right_copies, left_copies) as other_copies,
        if(target_side = 'left', left_in_scope, right_in_scope) as target_in_scope,
        if(target_side = 'left', right_in_scope, left_in_scope) as other_in_scope,
        if(target_side = 'left', looked.left_value, looked.right_value) as target_now,
        if(target_side = 'left', looked.right_value, looked.left_value) as other_now,
        if(target_side = 'left', planned.left_value, planned.right_value) as target_planned,
        if(target_side = 'left', planned.right_value, planned.left_value) as other_planned,
        if(operation = 'create', if(target_side = 'left', right_record, left_record), null) as record
    from planned
    left join looked
        on looked.reconciliation = planned.reconciliation and looked.record_key = planned.record_key and looked.field = planned.field
    left join own on own.idempotency_key = planned.idempotency_key
)

select
    idempotency_key,
    case
        when not was_looked_at then 'it was not read again'
        when target_copies > 1 then 'the key stands more than once in ' || target_system
        when other_copies > 1 then 'the key stands more than once in ' || other_system
        when operation = 'create' and target_copies = 1 then 'it is in ' || target_system || ' by now'
        when operation != 'create' and target_copies = 0 then 'it is gone from ' || target_system
        when (operation = 'create' or field != '') and other_copies = 0 then 'it is gone from ' || other_system
        when operation != 'create' and field = '' and other_copies = 1 then 'it is in ' || other_system || ' by now'
        when not target_in_scope and not other_in_scope then 'it has ended in both by now'
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
    end, false) as is_as_written,
    key, stated_key, ids, record,
    (
        select min(word) from snapshot.seeds.status_map
        where is_written and system = target_system and list_contains(target_tables, table_name) and status = (record ->> '$.status')
    ) as word
from sides
"""


@dataclass(frozen=True)
class Looked:
    """One planned write after the second look. `dropped_because` is None where it stands as planned."""

    dropped_because: str | None
    is_as_written: bool
    key: str
    stated_key: str | None
    ids: dict[str, list[str]]
    record: dict[str, str | None]  # to create: as the system of record has it, its status in the target's word


def looked(connection: duckdb.DuckDBPyConnection) -> dict[str, Looked]:
    """By idempotency key."""
    tables = connection.execute("select table_name from duckdb_tables() where database_name = 'snapshot' and schema_name = 'compare'")
    union = " union all by name ".join(f'select * from snapshot.compare."{table}"' for (table,) in tables.fetchall())
    found = {}
    for key, *told, ids, record, word in connection.execute(STANDING.format(looked=union)).fetchall():
        values = json.loads(record) if record else {}
        values.pop("asked_key", None)
        found[key] = Looked(*told, ids or {}, values | ({"status": word} if "status" in values else {}))
    return found
