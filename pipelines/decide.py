"""What people decide, as rows of seeds/decisions.csv: held against what is published, appended, and kept by git."""

from datetime import UTC, date, datetime

import duckdb

from pipelines import seeds, settings
from pipelines.explain import normalised_key
from pipelines.failures import BadConfiguration
from pipelines.show import named, plain, rows

NOTHING_DECIDED = "Nothing was written; correct it and run tallystick decide again."

CURRENT = f"""
select * from marts.discrepancies
where ($what is null or discrepancy_id = $what or record_key = {normalised_key("$what")})
    and reconciliation = coalesce($reconciliation, reconciliation) and bucket = coalesce($bucket, bucket)
    and field = coalesce($field, field) and cause = coalesce($cause, cause)
order by reconciliation desc, record_key, bucket, field
"""


def decide(
    connection: duckdb.DuckDBPyConnection,
    decision: str,
    what: str | None,
    kind: dict[str, str | None],
    by: str,
    until: str | None,
    note: str,
) -> list[dict]:
    """Appends the decision: a row a difference where `what` names one by its id, or a record by its key; else one on all of a `kind`.

    `kind` has reconciliation, bucket, field and cause, each None for any. Returns the current differences that it is about.
    Raises BadConfiguration where there are none, or the decision makes no sense for one of them.
    """
    if what is None and not any(kind.values()):
        raise BadConfiguration("decide needs a difference, a key, or a kind (--pair, --bucket, --field, --cause).", NOTHING_DECIDED)
    if not by or not (by + note).isprintable():
        raise BadConfiguration("decide needs --by, and no control characters in it or in --note.", NOTHING_DECIDED)
    now = settings.fixed_clock() or datetime.now(UTC)
    clock = connection.execute("select arg_max(as_of, run_seq) from marts.runs").fetchone()[0]
    if until is not None and last_day(until) < clock.date():
        raise BadConfiguration(f"--until {until} is over: the last run was as of {clock:%Y-%m-%d}.", NOTHING_DECIDED)
    found = rows(connection, CURRENT, {"what": what, **kind})
    if not found:
        about = plain(", ".join(filter(None, (what, *kind.values()))))
        raise BadConfiguration(f"There is no current difference of {about}: tallystick explain KEY tells a record's.", NOTHING_DECIDED)
    for difference in found:
        refuse(decision, difference)
    told = {"decision": decision, "decided_by": by, "decided_at": f"{now:%Y-%m-%dT%H:%M:%SZ}", "until": until or ""}
    blank = dict.fromkeys(("discrepancy_id", *kind), "")
    # An id alone would tell whoever reviews the commit nothing.
    about = [{"discrepancy_id": each["discrepancy_id"], "note": noted(each, note)} for each in found] if what else [kind | {"note": note}]
    seeds.append("decisions", [blank | {name: value or "" for name, value in entry.items()} | told for entry in about])
    return found


def noted(difference: dict, note: str) -> str:
    return ": ".join(filter(None, (named(difference), note)))


def last_day(until: str) -> date:
    try:
        return datetime.strptime(until, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise BadConfiguration(f"--until must be a date such as 2026-12-31, not {until!r}.", NOTHING_DECIDED) from None


def refuse(decision: str, difference: dict) -> None:
    """Raises BadConfiguration where the decision would do nothing to that difference."""
    name = named(difference)
    if decision == "release" and difference["status"] not in ("quarantined", "accepted"):
        raise BadConfiguration(f"{name} is {difference['status'].replace('_', ' ')}: there is nothing to release.", NOTHING_DECIDED)
    if decision == "fix" and difference["fix_objection"]:
        raise BadConfiguration(f"{name} can't be fixed: {plain(difference['fix_objection'])}; docs/response.md explains.", NOTHING_DECIDED)
