"""One record's story on one screen: both sides, what they last agreed on, its differences with cause and evidence, what was decided."""

from contextlib import suppress
from decimal import Decimal
from functools import cache

import duckdb
from jinja2 import Environment
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from pipelines import settings
from pipelines.failures import BadConfiguration
from pipelines.show import age, plain, rows

TRUSTED_PAIRS = """
with trusted as (
    select reconciliation, arg_max(run_id, run_seq) as run_id, max(as_of) as as_of, max(run_seq) as run_seq,
        arg_max(left_system, run_seq) as "left", arg_max(right_system, run_seq) as "right"
    from marts.runs
    where verdict = 'trusted' and reconciliation = coalesce(?, reconciliation)
    group by reconciliation
)
select trusted.*, (
    select count(*) from marts.runs as later where later.reconciliation = trusted.reconciliation and later.run_seq > trusted.run_seq
) as not_trusted_since
from trusted
order by reconciliation desc
"""

COMPARED_AS = "select {right} from snapshot.seeds.key_map where {left} = $key and reconciliation = $pair"

CURRENT = "select * from marts.discrepancies where reconciliation = ? and record_key = ? order by bucket, field"

RESOLVED = """
select *, concat_ws(' ', bucket, field) as what
from marts.discrepancy_history
where reconciliation = ? and record_key = ? and resolved_at is not null
order by first_seen_at, field
"""

LEFT_BEHIND = """
select field, shown_value, agreed_until, led_by from judge.agreed_values
where reconciliation = ? and record_key = ?
order by agreed_until desc, field
"""

CANDIDATES = """
select *, case when left_key = $key then right_key else left_key end as other_key from marts.candidate_keys
where reconciliation = $pair and $key in (left_key, right_key)
"""


# A message names differences by their ids.
KEY = """
select coalesce((select record_key from marts.discrepancy_history where discrepancy_id = lower(trim($key))), {normalised})
"""

DECISIONS = """
select
    decisions.*, concat_ws(' ', history.bucket, history.field) as what,
    case when history.decision_id = decisions.decision_id then history.decision_state else decisions.state end as decision_state
from marts.discrepancy_history as history
inner join marts.decision_status as decisions
    on decisions.decision_id = history.decision_id or decisions.discrepancy_id = history.discrepancy_id
where history.reconciliation = ? and history.record_key = ?
order by decided_at
"""

FIXES = "select * from marts.fix_log where reconciliation = ? and record_key = ? order by attempted_at, attempt"


def explain(connection: duckdb.DuckDBPyConnection, console: Console, key: str, pair: str | None) -> None:
    """Prints the record that has `key`, or a difference with that id, in each pair or in `pair`. Raises BadConfiguration where none is."""
    pairs = rows(connection, TRUSTED_PAIRS, [pair])
    if not pairs:
        known = ", ".join(settings.project_vars()["reconciliations"])
        raise BadConfiguration(
            f"There is no trusted run of {pair or 'any pair'}; the pairs are {known}.", "Nothing was touched; run make reconcile first."
        )
    key = connection.execute(KEY.format(normalised=normalised_key("$key")), {"key": key}).fetchone()[0]
    stories = [story for of_pair in pairs if (story := told(connection, of_pair, key))]
    if not stories:
        names = ", ".join(of_pair["reconciliation"] for of_pair in pairs)
        raise BadConfiguration(
            f"No side of {names} has or had {plain(str(key))}.", "Nothing was touched; run tallystick explain with another key."
        )
    console.print(Group(*stories))


@cache
def normalised_key(expression: str) -> str:
    """SQL for a key as it is compared, by the project's own macro."""
    macros = (settings.ROOT / "macros/normalise.sql").read_text()
    return str(Environment().from_string(macros).module.normalise_identifier(expression))  # noqa: S701 (SQL is no HTML)


def told(connection: duckdb.DuckDBPyConnection, pair: dict, key: str) -> Group | None:
    name = pair["reconciliation"]
    key, sides = both_sides(connection, pair, key)
    current, gone = (rows(connection, query, [name, key]) for query in (CURRENT, RESOLVED))
    if not (any(sides.values()) or current or gone):
        return None
    left_behind = rows(connection, LEFT_BEHIND, [name, key])
    candidates = rows(connection, CANDIDATES, {"pair": name, "key": key})
    decisions = mapped(sides["left"], key) + [suggested(found) for found in candidates]
    decisions += [decided(found) for found in rows(connection, DECISIONS, [name, key])]
    return Group(
        Text(f"{name} {plain(key)} in the trusted run {pair['run_id']}, as of {pair['as_of']:%Y-%m-%d %H:%M} UTC", "bold"),
        *since(pair),
        beside(pair, sides, {found["field"] for found in current}),
        *section("Differences", [line for found in current for line in difference(found)] or ["none"]),
        *section("Before", [resolved(found) for found in gone] + [value(pair, found) for found in left_behind]),
        *section("Decisions", decisions or ["none"]),
        *section("Fixes", [attempted(found) for found in rows(connection, FIXES, [name, key])]),
        Text(),
    )


def since(pair: dict) -> list[Text]:
    if not (runs := pair["not_trusted_since"]):
        return []
    return [Text(f"{runs} run{'s' if runs > 1 else ''} of this pair since then could not be trusted: nothing of it is in here", "bold")]


def both_sides(connection: duckdb.DuckDBPyConnection, pair: dict, key: str) -> tuple[str, dict[str, dict | None]]:
    """The key under which the pair compares it, and the record as each side held it in the pair's last trusted run, read through the
    views that ran then; None where it had none."""
    snapshot = settings.state_folder() / "before" / f"{pair['run_id']}.duckdb"
    if not snapshot.exists():
        return key, {"left": None, "right": None}
    connection.execute(f"attach '{settings.quoted(snapshot)}' as snapshot (read_only)")  # the name that its views know
    compared_as = COMPARED_AS.format(left=normalised_key("left_key"), right=normalised_key("right_key"))
    if found_under := connection.execute(compared_as, {"key": key, "pair": pair["reconciliation"]}).fetchone():
        (key,) = found_under
    left_keys = f"select {normalised_key('left_key')} from snapshot.seeds.key_map where {normalised_key('right_key')} = $key"
    found = {
        "left": side(connection, pair, "left", key, f"select $key union all {left_keys}"),
        "right": side(connection, pair, "right", key, "select $key"),
    }
    connection.execute("detach snapshot")
    return key, found


def side(connection: duckdb.DuckDBPyConnection, pair: dict, which: str, key: str, keys: str) -> dict | None:
    view = f"{pair['reconciliation']}_in_{pair[which]}"
    columns = "select column_name from duckdb_columns() where database_name = 'snapshot' and table_name = ? order by column_index"
    names = [name for (name,) in connection.execute(columns, [view]).fetchall()]
    if not names:
        return None
    query = f'select * from snapshot.staging."{view}" where {normalised_key(names[0])} in ({keys}) limit 1'
    return next(iter(rows(connection, query, {"key": key})), None)


def beside(pair: dict, sides: dict[str, dict | None], differing: set[str]) -> Table:
    """Field by field; ≠ marks what differs."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column(no_wrap=True)
    for heading in (pair["left"], pair["right"]):
        table.add_column(heading, overflow="fold", ratio=1)
    fields = [name for name in sides["left"] or sides["right"] or {} if not name.endswith("_stated")]
    for field in fields:
        mark = "≠" if field in differing else " "
        table.add_row(f"{mark} {field}", *(written(sides[which], field) for which in ("left", "right")))
    if not all(sides.values()):
        table.add_row("  no such record", *("" if sides[which] else "✗" for which in ("left", "right")))
    return table


def written(record: dict | None, field: str) -> str:
    """As the system wrote it, and what it was read as where that is something else."""
    if record is None:
        return ""
    read, stated = record[field], record.get(f"{field}_stated")
    told = "" if read is None else f"{read:%Y-%m-%d %H:%M}" if field.endswith("_at") else str(read)
    if stated is None or (field.endswith("_at") and told):
        return plain(told)
    return plain(str(stated) if is_same(str(stated), told) else f"{stated} ({told or 'can not be read'})")


def is_same(stated: str, read: str) -> bool:
    with suppress(ArithmeticError):
        return Decimal(stated) == Decimal(read)
    return stated == read


def difference(found: dict) -> list[str]:
    since = f"{found['out_of_step_since']:%Y-%m-%d %H:%M} UTC" if found["out_of_step_since"] else "an unknown time"
    what = f"{found['field']} differs" if found["field"] else found["bucket"].replace("_", " ")
    since += "" if found["is_since_exact"] else " at the latest"
    worth = f"; at risk {found['value_at_risk']:,.2f} {found['currency'] or ''}".rstrip() if found["value_at_risk"] is not None else ""
    return [
        f"{what}: {found['status'].replace('_', ' ')}, out of step since {since}{worth}",
        f"  stale: {stale(found)}; cause: {found['cause']}",
        f"  {plain(found['cause_evidence'])}",
        *([f"  {found['direction']}"] if found["direction"] else []),
        *([f"  last agreed {found['agreed_at']:%Y-%m-%d %H:%M} UTC{agreed_on(found)}"] if found["agreed_at"] else []),
        f"  {plain(found['owner'] or 'nobody')} decides{due(found)}; {plain(found['response_reason'] or found['response'] or 'report')}",
        f"  first seen {found['first_seen_at']:%Y-%m-%d %H:%M} UTC ({age(found['age_hours'])}), in {found['runs_seen']} runs,"
        f" reopened {found['times_reopened']} times",
    ]


def due(found: dict) -> str:
    return f" by {found['due_at']:%Y-%m-%d}{', which is over' if found['is_overdue'] else ''}" if found["due_at"] else ""


def agreed_on(found: dict) -> str:
    return f": {plain(found['base_value'] or 'nothing')}" if found["field"] else ""


def stale(found: dict) -> str:
    return {"left": found["left_system"], "right": found["right_system"]}.get(found["stale_side"], found["stale_side"])


def resolved(found: dict) -> str:
    values = f", {plain(str(found['left_value']))} against {plain(str(found['right_value']))}" if found["bucket"] == "conflict" else ""
    days = f"{found['first_seen_at']:%Y-%m-%d} to {found['resolved_at']:%Y-%m-%d}"
    return f"{found['what']}{values}: {days}, {found['cause']}; {found['resolution']}"


def value(pair: dict, found: dict) -> str:
    led = f", {pair[found['led_by']]} changed first" if found["led_by"] else ""
    return f"{found['field']}: both had {plain(str(found['shown_value']))} until {found['agreed_until']:%Y-%m-%d}{led}"


def mapped(left: dict | None, key: str) -> list[str]:
    left_key = str(next(iter(left.values()))) if left else key
    return [f"seeds/key_map.csv: {plain(left_key)} is {plain(key)}"] if left_key.strip().upper() != key else []


def suggested(found: dict) -> str:
    row = f"; to accept it, add to seeds/key_map.csv: {plain(found['key_map_row'])}" if found["key_map_row"] else ""
    return f"perhaps one record with {plain(found['other_key'])} ({found['rests_on']}, score {found['score']:.2f}){row}"


def decided(found: dict) -> str:
    until = f" until {found['until']}" if found["until"] else ""
    note = f": {plain(found['note'])}" if found["note"] else ""
    return f"{found['what']}: {found['decision']} by {plain(found['decided_by'])}{until}, {found['decision_state']}{note}"


def attempted(found: dict) -> str:
    seen = f", {found['verification']} by run {found['verified_in_run']}" if found["verification"] else ""
    what = f"{found['operation']} {found['field']}".rstrip()
    return f"{what} in {found['target_system']} {found['attempted_at']:%Y-%m-%d %H:%M} UTC: {found['outcome']}{seen}"


def section(heading: str, lines: list[str]) -> list:
    return [Text(heading, "bold"), *(Text(f"  {line}") for line in lines)] if lines else []
