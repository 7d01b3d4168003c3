"""What the last run planned to write, and what stopped it, from the published warehouse."""

from dataclasses import dataclass
from itertools import groupby

import duckdb
from rich.console import Console, Group
from rich.text import Text

from pipelines import settings
from pipelines.failures import BadConfiguration, NotTrustworthy
from pipelines.seeds import changed_since
from pipelines.show import number, plain, plain_table, rows

WIDTH = 40
NOT_TRUSTED = "every_pair_is_trusted"

LAST_RUN = "(select arg_max(run_id, run_seq) from marts.runs)"
PLANNED = f"select * from marts.fix_plan where run_id = {LAST_RUN} order by reconciliation desc, record_key, field, idempotency_key"
TRIPPED = f"""
select * from marts.fix_breakers where run_id = {LAST_RUN} and tripped and accepted_by is null
order by can_be_accepted, breaker, reconciliation, policy
"""


@dataclass(frozen=True)
class Plan:
    run_id: str
    rows: list[dict]
    tripped: list[dict]  # breakers

    def refuse_if_stopped(self) -> None:
        """Raises NotTrustworthy, naming the breaker: one that tripped stops every write of the run."""
        if self.tripped:
            first = self.tripped[0]
            raise NotTrustworthy(
                f"The plan of run {self.run_id} is stopped by {first['breaker']}: {plain(first['explanation'])}.",
                "Nothing was written; run tallystick fix to see what to do.",
            )

    def refuse_if_made_of_other_seeds(self) -> None:
        """Raises NotTrustworthy where people have decided or allowed something else since, or nobody can tell."""
        if why := self.why_outdated():
            raise NotTrustworthy(f"Run {self.run_id} planned this, and {why}.", "Nothing was written; make reconcile plans anew.")

    def why_outdated(self) -> str | None:
        made_of = settings.state_folder() / "before" / f"{self.run_id}.duckdb"
        if not made_of.exists():
            return f"{made_of.name} with the decisions and policies that it was made of is no longer in state/before"
        changed = changed_since(made_of)
        return f"seeds/{changed[0]}.csv has changed since" if changed else None

    def writes(self) -> list[dict]:
        return [row for row in self.rows if not row["is_stopped"]]


def last_plan(connection: duckdb.DuckDBPyConnection) -> Plan:
    try:
        run_id = connection.execute(f"select {LAST_RUN}").fetchone()[0]
        planned, tripped = rows(connection, PLANNED), rows(connection, TRIPPED)
        # What would stop a plan is no news where nothing is planned, unless that is why.
        return Plan(run_id, planned, [breaker for breaker in tripped if planned or breaker["breaker"] == NOT_TRUSTED])
    except duckdb.CatalogException as error:
        raise BadConfiguration(
            "What is published has no fix plan, an older Tallystick made it.", "Nothing was written; run make reconcile first."
        ) from error


def show(plan: Plan, console: Console) -> None:
    """The writes, one a line, and what stands in their way."""
    if plan.tripped:
        console.print(what_stopped(plan))
    if plan.rows:
        console.print(writes_table(plan))


def writes_table(plan: Plan) -> Group:
    """One table a reason, as that is a sentence. No write is left out: a person is to read the plan."""
    parts = []
    for because, group in groupby(sorted(plan.rows, key=because_of), key=because_of):
        of_these = [*group]
        table = plain_table("write to", "what", "key", "field", "from", "to", numbers=())
        for row in of_these:
            to = "the other side's record (see explain)" if row["operation"] == "create" else row["to_value"]
            values = map(shown, (row["record_key"], row["field"], row["from_value"], to))
            table.add_row(row["target_system"], row["operation"], *values)
        parts += [Text(f"{plain(because)}: {number(len(of_these))}", "bold"), table, Text()]
    return Group(*parts)


def because_of(row: dict) -> str:
    return row["allowed_because"] or ""


def what_stopped(plan: Plan) -> Group:
    lines = [Text(f"STOPPED: nothing of run {plan.run_id} is written.", "bold red")]
    for breaker in plan.tripped:
        of = ", ".join(filter(None, (breaker["reconciliation"], breaker["policy"]))) or "the run as a whole"
        lines.append(Text(f"  {breaker['breaker']} ({plain(of)})", "bold"))
        lines.append(Text(f"    {plain(breaker['explanation'])}"))
        lines.append(Text(f"    {way_on(breaker)}"))
    return Group(*lines, Text())


def way_on(breaker: dict) -> str:
    if breaker["can_be_accepted"]:
        return 'Read the plan. Is it right? tallystick accept-plan --reason "…" --by "…", then make reconcile.'
    if breaker["breaker"] == NOT_TRUSTED:
        return "Mend what made the run untrustworthy, then make reconcile."
    return "Are they meant? Raise most_rows or most_share of the policy in seeds/response_policies.csv, then make reconcile."


def closing(plan: Plan, done: set[str], refused: set[str]) -> str:
    if not plan.rows:
        return f"Run {plan.run_id} planned nothing: no difference that a policy or a decision lets be fixed has stood long enough."
    before = sum(row["idempotency_key"] in done for row in plan.rows)
    told = f"{number(len(plan.rows))} planned by run {plan.run_id}" + (f", {number(before)} of them written before" if before else "")
    if again := sum(row["idempotency_key"] in refused for row in plan.rows):
        told += f", {number(again)} refused before, marts.fix_log says why"
    if why := plan.why_outdated():
        return f"{told}, and {why}. Nothing was written; make reconcile plans anew."
    return f"{told}. Nothing was written; make fix APPLY=1 reads the records again and writes them."


def shown(value: str | None) -> str:
    text = "" if value is None else plain(value)
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"
