"""What a run has to tell a target, from the published tables: counts, owners and ids, and no value of any record.

docs/messages.md says what each word means; models/marts/discrepancy_events.sql decides it.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

import duckdb

from pipelines.show import BY_OWNER, FAILED_CHECKS, meaning, number, rows, seen_and_wanted

EVENTS = ("new", "reopened", "worsened", "overdue")
OWNERS_SHOWN = 20
CHECKS_SHOWN = 6
MEANS_SOMETHING_SOMEWHERE = re.compile(r"[^\w .,'()+/&-]|_")  # Markdown, HTML, mentions, links

UNTRUSTED = """
with last_trusted as (
    select reconciliation, max(run_seq) filter (verdict = 'trusted') as run_seq, max(as_of) filter (verdict = 'trusted') as as_of
    from marts.runs
    group by reconciliation
)
select runs.reconciliation, min(runs.as_of) as since, count(*) as runs, any_value(last_trusted.as_of) as trusted_as_of
from marts.runs as runs
inner join last_trusted on last_trusted.reconciliation = runs.reconciliation
where runs.run_seq > coalesce(last_trusted.run_seq, 0)
group by runs.reconciliation
having max(runs.run_seq) = (select max(run_seq) from marts.runs)
order by runs.reconciliation desc
"""

# The most pressing ids first. What has left the list since it happened is no news.
NEWS = """
with happened as (
    select distinct coalesce(owner, 'nobody') as owner, event, discrepancy_id, due_at, current_ones.value_at_risk
    from marts.discrepancy_events as events
    inner join marts.discrepancies as current_ones using (discrepancy_id)
    where events.run_seq > $since and event != 'accepted'
        and status in ('open', 'quarantined') and (event != 'overdue' or is_overdue)
)
select owner, event, count(*) as differences, list(discrepancy_id order by due_at, value_at_risk desc nulls last, discrepancy_id)[:3] as ids
from happened
group by all
"""

WAVES = """
select kinds.*, runs.left_system, runs.right_system
from marts.drift_daily as kinds
inner join marts.runs as runs on runs.run_id = kinds.run_id and runs.reconciliation = kinds.reconciliation
where kinds.is_wave and kinds.run_seq > $since
order by kinds.run_seq desc, kinds.wave_probability, kinds.reconciliation, kinds.bucket, kinds.field
limit 6
"""

# The first run on or after the day on which a week begins, where this target has not been told since.
IS_SUMMARY_DUE = """
with week as (
    select date_trunc('week', max_by(as_of, run_seq) - to_days($first_day::integer)) + to_days($first_day::integer) as begins_at
    from marts.runs
)
select coalesce(min(run_seq) > $since, false) from marts.runs, week where as_of >= begins_at
"""

THE_WEEK = """
with last_run as (select max(run_seq) as run_seq, max_by(as_of, run_seq) as as_of from marts.runs)
select
    runs.reconciliation, max_by(verdict, runs.run_seq) as verdict, max_by(open, runs.run_seq) as open,
    max_by(in_flight, runs.run_seq) as in_flight, max_by(quarantined, runs.run_seq) as quarantined,
    count(*) filter (is_of_the_week) as runs, count(*) filter (is_of_the_week and verdict = 'trusted') as trusted,
    coalesce(sum(listed) filter (is_of_the_week), 0) as listed, coalesce(sum(resolved) filter (is_of_the_week), 0) as resolved
from (select *, as_of > (select as_of from last_run) - interval 7 days as is_of_the_week from marts.runs) as runs
group by runs.reconciliation
having max(runs.run_seq) = (select run_seq from last_run)
order by runs.reconciliation desc
"""


@dataclass(frozen=True)
class Message:
    title: str
    body: str
    kind: str  # Apprise's: info, warning or failure
    is_summary: bool
    untrusted: int
    events: Counter = field(default_factory=Counter)


def compose(connection: duckdb.DuckDBPyConnection, run: dict, since: int, first_day: int | None, is_late: bool) -> Message | None:
    """What happened after run number `since`; None where nobody needs to be told. `is_late`: an earlier message did not arrive."""
    untrusted = rows(connection, UNTRUSTED)
    news = rows(connection, NEWS, {"since": since})
    due = {"since": since, "first_day": first_day}
    is_summary = first_day is not None and connection.execute(IS_SUMMARY_DUE, due).fetchone()[0]
    if not (untrusted or news or is_summary):
        return None
    owners = {row["owner"]: row for row in rows(connection, BY_OWNER)}
    events = Counter()
    for row in news:
        events[row["event"]] += row["differences"]
    late = ", with what earlier messages could not deliver" if is_late else ""
    paragraphs = [
        [f"Run {run['run_id']} of {at(run['as_of'])}{late}"],
        *what_failed(connection, untrusted),
        [what_came_as_a_wave(row) for row in rows(connection, WAVES, {"since": since})] if news else [],
        *by_owner(news, owners),
        *(the_week(connection, owners) if is_summary else []),
        ["tallystick list has every difference; tallystick explain and tallystick decide take an id."],
    ]
    return Message(
        title=title(untrusted, events, owners if is_summary else None),
        body="\n\n".join("\n".join(lines) for lines in paragraphs if lines),
        kind="failure" if untrusted else "warning" if news else "info",
        is_summary=is_summary,
        untrusted=len(untrusted),
        events=events,
    )


def title(untrusted: list[dict], events: Counter, summed_up: dict[str, dict] | None) -> str:
    told = [f"NOT TRUSTWORTHY: {', '.join(row['reconciliation'] for row in untrusted)}"] if untrusted else []
    told += [f"{number(events[event])} {event}" for event in EVENTS if events[event]]
    if summed_up is not None:
        counts = (f"{number(sum(row[name] for row in summed_up.values()))} {name}" for name in ("open", "overdue"))
        told.append(f"weekly summary, {', '.join(counts)}")
    return f"Tallystick: {'; '.join(told)}"


def what_failed(connection: duckdb.DuckDBPyConnection, untrusted: list[dict]) -> list[list[str]]:
    failed = rows(connection, FAILED_CHECKS)
    paragraphs = []
    for pair in untrusted:
        of_pair = [check for check in failed if check["reconciliation"] == pair["reconciliation"]]
        times = f"{pair['runs']} runs in a row" if pair["runs"] > 1 else "this run"
        list_of = f"the list is that of {at(pair['trusted_as_of'])}" if pair["trusted_as_of"] else "there is no list yet"
        lines = [f"{pair['reconciliation']}: NOT TRUSTWORTHY since {at(pair['since'])}, {times}; {list_of}"]
        lines += [f"- {check['check_name']} ({check['side']}): {seen_and_wanted(check)}" for check in of_pair[:CHECKS_SHOWN]]
        lines += [f"- and {len(of_pair) - CHECKS_SHOWN} more checks in marts.trust_checks"] if len(of_pair) > CHECKS_SHOWN else []
        page = of_pair[0]["check_name"] if of_pair else "every_gate_is_in_force"
        paragraphs.append([*lines, f"What to do: read docs/trust/{page}.md, mend the source and run make reconcile again."])
    return paragraphs


def what_came_as_a_wave(kind: dict) -> str:
    return f"WAVE in {kind['reconciliation']}, {meaning(kind)}: {number(kind['listed'])} new, {kind['expected_listed']:.1f} expected"


def by_owner(news: list[dict], owners: dict[str, dict]) -> list[list[str]]:
    """Who has most to do first."""
    concerned = Counter()
    for row in news:
        concerned[row["owner"]] += row["differences"]
    paragraphs = []
    for owner, _ in concerned.most_common(OWNERS_SHOWN):
        happened = {row["event"]: row for row in news if row["owner"] == owner}
        told = [event for event in EVENTS if event in happened]
        counts = ", ".join(f"{number(happened[event]['differences'])} {event}" for event in told)
        paragraphs.append([f"{harmless(owner)}: {counts}; {standing(owners[owner])} in all"])
        paragraphs[-1] += [f"- {event}: {ids(happened[event])}" for event in told]
    return paragraphs + more_owners(len(concerned))


def ids(row: dict) -> str:
    rest = row["differences"] - len(row["ids"])
    return ", ".join(row["ids"]) + (f" and {number(rest)} more" if rest else "")


def the_week(connection: duckdb.DuckDBPyConnection, owners: dict[str, dict]) -> list[list[str]]:
    lines = ["The week"]
    for pair in rows(connection, THE_WEEK):
        lines.append(
            f"- {pair['reconciliation']}: {'trusted' if pair['verdict'] == 'trusted' else 'NOT TRUSTWORTHY'},"
            f" {pair['trusted']} of {pair['runs']} runs trusted; {number(pair['open'])} open, {number(pair['quarantined'])} quarantined,"
            f" {number(pair['in_flight'])} in flight; {number(pair['listed'])} new and {number(pair['resolved'])} gone in seven days"
        )
    for owner, row in list(owners.items())[:OWNERS_SHOWN]:
        due = f", next due {row['next_due_at']:%Y-%m-%d}" if row["next_due_at"] else ""
        lines.append(f"- {harmless(owner)}: {standing(row)}{due}")
    return [lines, *more_owners(len(owners))]


def more_owners(count: int) -> list[list[str]]:
    return [[f"and {count - OWNERS_SHOWN} more owners"]] if count > OWNERS_SHOWN else []


def standing(row: dict) -> str:
    quarantined = f", {number(row['quarantined'])} quarantined" if row["quarantined"] else ""
    return f"{number(row['open'])} open{quarantined}, {number(row['overdue'])} overdue"


def harmless(owner: str) -> str:
    """A name that no receiver takes for markup or for somebody to call."""
    return " ".join(MEANS_SOMETHING_SOMEWHERE.sub(" ", owner).split()) or "an owner without letters"


def at(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
