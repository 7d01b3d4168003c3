"""What a person sees after a run: at most one screen, from the published tables alone."""

from datetime import UTC, datetime
from pathlib import Path

import duckdb
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

FAILED_CHECKS_SHOWN = 6
KINDS_SHOWN = 13
WORDS_SHOWN = 6


def summary(connection: duckdb.DuckDBPyConnection, console: Console) -> None:
    """The last run: verdict, counts, what is open, in flight, new and gone, and where the tables are."""
    runs = rows(connection, LAST_RUN)
    failed = rows(connection, FAILED_CHECKS)
    kinds = rows(connection, OPEN_BY_KIND)
    causes = rows(connection, OPEN_BY_CAUSE)
    words = rows(connection, UNMAPPED_WORDS)
    waves = rows(connection, WAVES)
    owners = rows(connection, BY_OWNER)
    unusable = connection.execute("select count(*) from marts.unreconcilable").fetchone()[0]
    warehouse = connection.execute("select path from duckdb_databases() where not internal").fetchone()[0]
    tables = connection.execute(PUBLIC_TABLES).fetchone()[0]
    untrusted = [run for run in runs if run["verdict"] != "trusted"]
    if untrusted:
        console.print(what_failed(untrusted, failed))
    console.print(pairs_table(runs))
    for heading, of_these in lists(runs, kinds):
        console.print(kinds_table(heading, of_these))
    if any(cause["cause"] != "unknown" for cause in causes):
        console.print(causes_table(causes))
    if waves:
        console.print(what_started(waves))
    if owners:
        console.print(owners_table(owners))
    console.print(Group(*map(Text, told(connection))))
    console.print(footer(runs, unusable, words, warehouse, tables))


LAST_RUN = """
select
    runs.*,
    before.as_of as before_as_of, before.run_id as before_run_id
from marts.runs as runs
left join lateral (
    select as_of, run_id from marts.runs as earlier
    where earlier.reconciliation = runs.reconciliation and earlier.verdict = 'trusted' and earlier.run_seq < runs.run_seq
    order by run_seq desc limit 1
) as before on true
where runs.run_seq = (select max(run_seq) from marts.runs)
order by runs.reconciliation desc
"""

FAILED_CHECKS = """
select reconciliation, side, check_name, observed, expected, explanation, can_be_accepted
from marts.trust_checks
where not passed and run_id = (select arg_max(run_id, run_seq) from marts.runs)
order by can_be_accepted, reconciliation desc, check_name, side
"""

OPEN_BY_KIND = """
select
    reconciliation, bucket, field, left_system, right_system,
    count(*) filter (status = 'open') as open,
    count(*) filter (status = 'in_flight') as in_flight,
    count(*) filter (status in ('quarantined', 'accepted')) as set_apart,
    count(*) filter (opened_in_run = run_id) as new,
    max(age_hours) as oldest_hours
from marts.discrepancies
group by all
order by reconciliation desc, open desc, in_flight desc, bucket, field
"""

OPEN_BY_CAUSE = """
select
    reconciliation, cause, case stale_side when 'left' then left_system when 'right' then right_system else stale_side end as stale,
    count(*) as open, count(*) filter (listed_in_run = run_id) as listed,
    arg_max(record_key, (listed_in_run is not distinct from run_id, coalesce(value_at_risk, 0))) as example
from marts.discrepancies
where status = 'open' and run_id = (select arg_max(run_id, run_seq) from marts.runs)
group by all
order by listed desc, open desc, reconciliation desc, cause, stale
"""

BY_OWNER = """
select
    coalesce(owner, 'nobody') as owner,
    count(*) filter (status = 'open') as open, count(*) filter (status = 'quarantined') as quarantined,
    count(*) filter (status = 'accepted') as accepted, count(*) filter (is_overdue) as overdue,
    min(due_at) filter (status in ('open', 'quarantined') and not is_overdue) as next_due_at
from marts.discrepancies
where status != 'in_flight'
group by all
order by overdue desc, open desc, owner
"""

FIXES = """
select count(*) as planned, any_value(stopped_because) as stopped_because from marts.fix_plan
"""

JUDGED_FIXES = """
select
    count(*) filter (verification = 'verified') as verified, count(*) filter (verification = 'failed') as failed,
    list(concat_ws(' ', reconciliation, record_key, field) order by record_key, field) filter (verification = 'failed') as failed_ones
from marts.fix_log
where verified_in_run = (select arg_max(run_id, run_seq) from marts.runs)
"""

IDLE_DECISIONS = """
select
    case
        when history.record_key is not null then concat_ws(' ', history.reconciliation, history.record_key, history.bucket, history.field)
        else concat_ws(', ', discrepancy_id, decisions.reconciliation, decisions.bucket, decisions.field, decisions.cause)
    end as about,
    decision, decided_by, state
from marts.decision_status as decisions
left join marts.discrepancy_history as history using (discrepancy_id)
where state in ('matches nothing', 'lapsed', 'expired') and since_run = (select arg_max(run_id, run_seq) from marts.runs)
order by all
"""

PUBLIC_TABLES = "select string_agg(table_name, ', ' order by table_name) from duckdb_tables() where schema_name = 'marts'"

UNMAPPED_WORDS = "select system, table_name, word, records from marts.unmapped_words order by records desc, system, table_name, word"

# A kind tells more than the pair as a whole, which is named where none of its kinds is a wave.
WAVES = """
with last_run as (
    select * from marts.runs where run_seq = (select max(run_seq) from marts.runs) and has_wave
),
waves as (
    select run_id, reconciliation, bucket, field, listed, expected_listed, wave_probability from marts.drift_daily where is_wave
    union all
    select run_id, reconciliation, null, null, listed, expected_listed, wave_probability
    from last_run
    anti join marts.drift_daily as kind
        on kind.run_id = last_run.run_id and kind.reconciliation = last_run.reconciliation and kind.is_wave
)
select waves.*, last_run.left_system, last_run.right_system, slice, value, support, news, lift
from waves
inner join last_run on last_run.run_id = waves.run_id and last_run.reconciliation = waves.reconciliation
left join marts.drift_slices as slices
    on slices.run_id = waves.run_id and slices.reconciliation = waves.reconciliation and slices.rank = 1 and slices.is_over_represented
order by wave_probability, listed desc, reconciliation, bucket, field
"""

LAST_TRUSTED_RUNS = """
select
    reconciliation, max(as_of) filter (verdict = 'trusted') as trusted_as_of,
    arg_max(run_id, run_seq) filter (verdict = 'trusted') as run_id, arg_max(verdict, run_seq) as verdict
from marts.runs
group by reconciliation
having max(run_seq) = (select max(run_seq) from marts.runs)
order by reconciliation desc
"""


def rows(connection: duckdb.DuckDBPyConnection, query: str, values: list | dict | None = None) -> list[dict]:
    result = connection.execute(query, values)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def what_failed(untrusted: list[dict], failed: list[dict]) -> Group:
    """The failed checks first: seen, wanted, and what to do."""
    names = ", ".join(run["reconciliation"] for run in untrusted)
    lines = [Text(f"NOT TRUSTWORTHY: {names}. No difference was opened, aged or resolved there.", "bold red")]
    for run in untrusted:
        if run["reconciliation"] not in {check["reconciliation"] for check in failed}:
            lines.append(Text(f"  {run['reconciliation']}: a check did not report; has each side its line in counted_columns.sql?"))
    for check in failed[:FAILED_CHECKS_SHOWN]:
        lines.append(Text(f"  {check['reconciliation']}: {check['check_name']} ({check['side']})", "bold"))
        lines.append(Text(f"    {plain(check['explanation'])}; {seen_and_wanted(check)}"))
    if len(failed) > FAILED_CHECKS_SHOWN:
        lines.append(Text(f"  … and {len(failed) - FAILED_CHECKS_SHOWN} more in marts.trust_checks"))
    page = f"docs/trust/{failed[0]['check_name'] if failed else 'every_gate_is_in_force'}.md"
    lines.append(Text(f"What to do: read {page}, mend the source and run make reconcile again."))
    beyond = {check["reconciliation"] for check in failed if not check["can_be_accepted"]}
    if {check["reconciliation"] for check in failed} - beyond:
        lines.append(Text('Is the change genuine? tallystick accept-counts --reason "…" --by "…", then run again.'))
    return Group(*lines, Text())


def seen_and_wanted(check: dict) -> str:
    seen, wanted = (
        "nothing" if check[name] is None else f"{check[name]:,.4f}".rstrip("0").rstrip(".") for name in ("observed", "expected")
    )
    return f"observed {seen}" + (f", expected {wanted}" if check["expected"] is not None else "")


def pairs_table(runs: list[dict]) -> Table:
    table = plain_table("pair", "in scope", "", "verdict", numbers=("matched", "open", "in flight", "new", "gone"))
    for run in runs:
        trusted = run["verdict"] == "trusted"
        table.add_row(
            run["reconciliation"],
            f"{run['left_system']} {number(run['left_in_scope'])}",
            f"{run['right_system']} {number(run['right_in_scope'])}",
            Text("trusted", "green") if trusted else Text("untrusted", "bold red"),
            *(number(run[count]) for count in ("matched", "open", "in_flight")),
            *(number(run[count] if trusted and run["before_run_id"] else None) for count in ("opened", "resolved")),
        )
    return table


def lists(runs: list[dict], kinds: list[dict]) -> list[tuple[str, list[dict]]]:
    """This run's differences, and apart from them the last trusted list of each pair that this run could not trust."""
    untrusted = {run["reconciliation"]: run["before_as_of"] for run in runs if run["verdict"] != "trusted"}
    found = [("Differences", [kind for kind in kinds if kind["reconciliation"] not in untrusted])]
    for pair, as_of in untrusted.items():
        old = [kind | {"new": None} for kind in kinds if kind["reconciliation"] == pair]
        found.append((f"{pair}: the last trusted list, of {as_of:%Y-%m-%d %H:%M} UTC" if as_of else "", old))
    return [(heading, of_these) for heading, of_these in found if of_these]


def what_started(waves: list[dict]) -> Group:
    """Of each pair the wave that is least by chance, and the slice where it sits."""
    lines = []
    for wave in {wave["reconciliation"]: wave for wave in reversed(waves)}.values():
        kind = f", {meaning(wave)}" if wave["bucket"] else ""
        counted = f"{number(wave['listed'])} newly listed, {wave['expected_listed']:.1f} expected"
        lines.append(Text(f"\nWAVE in {wave['reconciliation']}{kind}: {counted}", "bold red"))
        if wave["slice"]:
            value = "blank" if wave["value"] is None else plain(wave["value"])
            where = f"{wave['slice']} = {value}, {number(wave['support'])} of {number(wave['news'])} ({wave['lift']:.1f} times its share)"
            lines.append(Text(f"  over-represented: {where}"))
    lines.append(Text("  marts.drift_daily has every kind, marts.drift_slices every slice; docs/waves.md says how to read them"))
    return Group(*lines)


def kinds_table(heading: str, kinds: list[dict]) -> Group:
    table = plain_table("pair", "bucket", "what it means", numbers=("open", "in flight", "apart", "new", "oldest"))
    for kind in kinds[:KINDS_SHOWN]:
        table.add_row(
            kind["reconciliation"],
            kind["bucket"],
            meaning(kind),
            *(number(kind[count]) for count in ("open", "in_flight", "set_apart", "new")),
            age(kind["oldest_hours"]),
        )
    more = [Text(f"… and {len(kinds) - KINDS_SHOWN} more kinds in marts.discrepancies")] if len(kinds) > KINDS_SHOWN else []
    return Group(Text(f"\n{heading}", "bold"), table, *more)


def meaning(kind: dict) -> str:
    return {
        "left_only": f"in {kind['left_system']}, not in {kind['right_system']}",
        "right_only": f"in {kind['right_system']}, not in {kind['left_system']}",
        "conflict": f"{kind['field']} differs",
    }[kind["bucket"]]


def causes_table(causes: list[dict]) -> Group:
    """Of what is open, how it came as far as the evidence goes; what came past the lag since the last run first."""
    table = plain_table("pair", "what happened", "stale", "for example", numbers=("open", "newly listed"))
    for cause in causes[:KINDS_SHOWN]:
        counts = (number(cause[count]) for count in ("open", "listed"))
        table.add_row(cause["reconciliation"], cause["cause"], cause["stale"], plain(cause["example"]), *counts)
    left_out = sum(cause["open"] for cause in causes[KINDS_SHOWN:])
    more = [Text(f"… and {left_out} open differences of other causes in marts.discrepancies")] if left_out else []
    return Group(Text("\nWhy (tallystick explain KEY tells more)", "bold"), table, *more)


def owners_table(owners: list[dict]) -> Group:
    table = plain_table("owner", numbers=("open", "quarantined", "accepted", "overdue", "next due"))
    for owner in owners:
        due = f"{owner['next_due_at']:%Y-%m-%d}" if owner["next_due_at"] else "-"
        overdue = Text(number(owner["overdue"]), "bold red" if owner["overdue"] else "")
        table.add_row(plain(owner["owner"]), *(number(owner[count]) for count in ("open", "quarantined", "accepted")), overdue, due)
    return Group(Text("\nWho decides", "bold"), table)


def told(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """What became of decisions and fixes, where there is news."""
    fixes, judged = rows(connection, FIXES)[0], rows(connection, JUDGED_FIXES)[0]
    lines = []
    if fixes["planned"]:
        stopped = f", stopped: {plain(fixes['stopped_because'])}" if fixes["stopped_because"] else ""
        lines.append(f"fixes planned: {fixes['planned']:,}{stopped}; tallystick fix shows them")
    if judged["verified"] or judged["failed"]:
        which = f" ({', '.join(map(plain, judged['failed_ones'][:3]))}{', …' if judged['failed'] > 3 else ''})" if judged["failed"] else ""
        lines.append(f"fixes of before: {judged['verified']:,} verified, {judged['failed']:,} still there{which}, in marts.fix_log")
    for decision in rows(connection, IDLE_DECISIONS):
        about = f"{decision['decision']} by {plain(decision['decided_by'])} on {plain(decision['about'])}"
        lines.append(f"decision without effect: {about}: {decision['state']}; mend or remove its row in seeds/decisions.csv")
    return ["", *lines] if lines else []


def decided(found: list[dict], decision: str, console: Console) -> None:
    for difference in found[:KINDS_SHOWN]:
        name = named(difference)
        console.print(f"{decision}: {name}, {difference['status'].replace('_', ' ')}, owned by {difference['owner'] or 'nobody'}")
    if len(found) > KINDS_SHOWN:
        console.print(f"… and {len(found) - KINDS_SHOWN:,} more")
    console.print("It counts from the next trusted run on: make reconcile. Commit seeds/decisions.csv so that git keeps who and why.")


def plain_table(*texts: str, numbers: tuple[str, ...]) -> Table:
    """Where the terminal is too narrow a cell goes on below; cut short, 1,180 would read 1,1…"""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for heading in texts:
        table.add_column(heading, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right", overflow="fold")
    return table


def footer(runs: list[dict], unusable: int, words: list[dict], warehouse: str, tables: str) -> Group:
    run = runs[0]
    trusted = [run for run in runs if run["verdict"] == "trusted"]
    before = sorted({run["before_as_of"] for run in trusted if run["before_as_of"]})
    since = f"; new and gone since the last trusted run of {' or '.join(f'{time:%Y-%m-%d %H:%M}' for time in before)} UTC" if before else ""
    if not any(run["before_as_of"] for run in runs):
        since = "; no baseline yet, drops and jumps are judged from the next run on, waves from the third"
    unread = sum((run["unreadable_left"] or 0) + (run["unreadable_right"] or 0) for run in runs)
    unjudged = [run["reconciliation"] for run in trusted if run["has_wave"] is None and run["before_as_of"]]
    notes = [f"records without a usable key: {unusable}, in marts.unreconcilable"] if unusable else []
    notes += [f"values that could not be read: {unread}, by side in marts.runs, by column in trust.side_counts"] if unread else []
    notes += [unmapped(words)] if words else []
    notes += [f"waves were not judged, there are too few runs to judge by: {', '.join(unjudged)}"] if unjudged else []
    return Group(
        Text(),
        Text(f"run {run['run_id']} as of {run['as_of']:%Y-%m-%d %H:%M} UTC, {run['seconds']:.1f} s{since}"),
        *map(Text, notes),
        Text(f"tables: {warehouse}, schema marts: {tables}"),
        Text(f"report: {Path(warehouse).with_name('report.html')}"),
    )


def unmapped(words: list[dict]) -> str:
    """Unknown status words, the commonest first."""
    told = [f"{word['system']} {word['table_name']} {plain(word['word'])!r} ({word['records']:,})" for word in words[:WORDS_SHOWN]]
    more = [f"{len(words) - WORDS_SHOWN} more in marts.unmapped_words"] if len(words) > WORDS_SHOWN else []
    return f"status words that seeds/status_map.csv does not know: {', '.join(told + more)}"


def freshness(connection: duckdb.DuckDBPyConnection, now: datetime, hours: int) -> tuple[str, bool]:
    """A sentence on the last trusted run of each pair, and whether none is staler than `hours`."""
    pairs = rows(connection, LAST_TRUSTED_RUNS)
    lines, is_fresh = [], bool(pairs)
    for pair in pairs:
        if pair["trusted_as_of"] is None:
            lines.append(f"{pair['reconciliation']}: STALE, no run was ever trusted")
            is_fresh = False
            continue
        behind = (now - pair["trusted_as_of"].astimezone(UTC)).total_seconds() / 3600
        stale = behind > hours
        is_fresh = is_fresh and not stale
        lines.append(
            f"{pair['reconciliation']}: {'STALE' if stale else 'fresh'}, last trusted run {pair['run_id']} as of"
            f" {pair['trusted_as_of']:%Y-%m-%d %H:%M} UTC, {age(behind)} ago; the last run was {pair['verdict']}"
        )
    return "\n".join(lines), is_fresh


def number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def age(hours: float) -> str:
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"


def named(difference: dict) -> str:
    return plain(f"{difference['reconciliation']} {difference['record_key']} {difference['field'] or difference['bucket']}")


def plain(text: str) -> str:
    """Text from the data without what a terminal would obey."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
