"""Fix plans by hand, in a published warehouse: what marts.fix_plan and its neighbours would hold."""

from hashlib import sha256
from pathlib import Path

import duckdb

from pipelines import seeds

PLAN = """
run_id varchar, reconciliation varchar, discrepancy_id varchar, idempotency_key varchar, target_system varchar, operation varchar,
record_key varchar, field varchar, from_value varchar, to_value varchar, policy varchar, allowed_because varchar, left_value varchar,
right_value varchar, runs_seen bigint, is_stopped boolean, stopped_because varchar
"""
BREAKERS = """
run_id varchar, reconciliation varchar, policy varchar, breaker varchar, observed double, most double, tripped boolean,
can_be_accepted boolean, accepted_by varchar, explanation varchar
"""
LOG = """
idempotency_key varchar, attempt integer, discrepancy_id varchar, run_id varchar, reconciliation varchar, target_system varchar,
operation varchar, record_key varchar, field varchar, from_value varchar, to_value varchar, attempted_at timestamptz,
outcome varchar, detail varchar, verification varchar, verified_in_run varchar
"""
OWN_IDS = "reconciliation varchar, record_key varchar, system varchar, table_name varchar, stated_key varchar, id varchar"
RUN = "select '000001-test' as run_id, 1 as run_seq, 'customers' as reconciliation, 'trusted' as verdict, 1 as history_version"


def plan(warehouse: Path, rows: list[dict], breakers: list[dict] = ()) -> None:
    """Of the last run, in place of what it planned."""
    with duckdb.connect(warehouse) as connection:
        connection.execute("create schema if not exists marts")
        connection.execute(f"create table if not exists marts.runs as {RUN}")
        run_id = connection.execute("select arg_max(run_id, run_seq) from marts.runs").fetchone()[0]
        for table, columns in (("fix_plan", PLAN), ("fix_breakers", BREAKERS)):
            connection.execute(f"create or replace table marts.{table} ({columns})")
        connection.execute(f"create table if not exists marts.fix_log ({LOG})")
        for table, given in (("fix_plan", rows), ("fix_breakers", breakers)):
            for row in given:
                values = {"run_id": run_id} | row
                names = ", ".join(f"${name} as {name}" for name in values)
                connection.execute(f"insert into marts.{table} by name select {names}", values)
    made_of = warehouse.parent / "before" / f"{run_id}.duckdb"
    if not made_of.exists():
        keep(made_of)


def keep(made_of: Path) -> None:
    """As a run's snapshot keeps it: what people say now, and no record that is known by another key or id."""
    made_of.parent.mkdir(exist_ok=True)
    with duckdb.connect(made_of) as connection:
        connection.execute(f"create schema seeds; create schema staging; create table staging.own_ids ({OWN_IDS})")
        for name in seeds.OF_A_PLAN:
            file = str(seeds.file_of(name))
            connection.execute(f"create table seeds.{name} as from read_csv(?, header = true, all_varchar = true)", [file])


def write(target: str, operation: str, key: str, field: str = "", **values) -> dict:
    """A row of a plan, its keys made of what it says."""
    told = f"{target} {operation} {key} {field} {values.get('to_value')}"
    return {
        "reconciliation": "customers", "discrepancy_id": f"d {key} {field}", "idempotency_key": sha256(told.encode()).hexdigest()[:32],
        "target_system": target, "operation": operation, "record_key": key, "field": field, "from_value": None, "to_value": None,
        "policy": f"customers, {field or 'one-sided'}", "allowed_because": "the policy says so", "left_value": None, "right_value": None,
        "runs_seen": 3, "is_stopped": False, "stopped_because": None,
    } | values  # fmt: skip


def breaker(name: str = "no_more_rows_than_allowed", **values) -> dict:
    return {
        "reconciliation": "customers", "policy": "customers", "breaker": name, "observed": 40.0, "most": 25.0, "tripped": True,
        "can_be_accepted": False, "accepted_by": None, "explanation": "40 planned under customers, most_rows allows 25",
    } | values  # fmt: skip
