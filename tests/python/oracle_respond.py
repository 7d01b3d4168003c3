"""What becomes of each difference, in plain Python from docs/response.md alone: no SQL, and no code of the project.

What was seen and judged of a difference is given; owner, decision, response, what would be written, and what stops it are said here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

Row = Mapping[str, Any]
LAG = timedelta(hours=24)
KIND = ("reconciliation", "bucket", "field", "cause")
SIDES = {"crm": "left", "billing": "right"}
TABLES = {("customers", "crm"): "customers", ("contracts", "crm"): "deals"}  # billing's words are those of its subscriptions
MOST_ROWS, MOST_SHARE, LEAST_RUNS = 25, 0.01, 3
TO_BE_NAMED = ("unknown", "agreed before, gone now")
UNCLEAR = ("one record under two keys", "a status word nobody mapped", "changed on both sides")


class Write(NamedTuple):
    """What makes one write the same as another: whatever else, it is to be sent once."""

    discrepancy_id: str
    opened_in: int
    operation: str
    target: str
    to_value: str | None
    left: str | None
    right: str | None


@dataclass
class Line:
    """What is remembered of one difference."""

    opened_in: int
    first_seen_at: datetime
    compared: tuple = ()
    runs_seen: int = 0
    is_resolved: bool = False
    decision: Row | None = None
    state: str | None = None  # of the decision
    decided: tuple = ()
    decided_fix: tuple | None = None
    answer: dict[str, Any] = field(default_factory=dict)
    objections: set[str] = field(default_factory=set)
    intended: Write | None = None
    policy: Row | None = None
    from_value: str | None = None


def stated(row: Row) -> list[str]:
    return [name for name in KIND if row.get(name) is not None]


def best(rows: Iterable[Row], kind: Row) -> Row | None:
    """The row that says most of this kind: a field tells more than a cause, a cause more than a bucket; then the latest."""
    fitting = [row for row in rows if all(row[name] == kind[name] for name in stated(row))]
    order = lambda row: (len(stated(row)), *(name in stated(row) for name in ("field", "cause", "bucket")), row.get("decided_at") or "")  # noqa: E731
    return max(fitting, key=order, default=None)


def in_words(row: Row) -> str:
    return ", ".join(row[name] for name in stated(row)) or "everything"


class Responder:
    """What people said, and every night that passed."""

    def __init__(self, owners: list[Row], policies: list[Row], words: Iterable[Row]):
        self.owners, self.policies = owners, policies
        self.words = {(row["system"], row["table_name"], row["status"]): row["word"] for row in words if row["is_written"]}
        self.decisions: list[Row] = []
        self.lines: dict[str, Line] = {}
        self.trusted: dict[str, list[int]] = {"customers": [], "contracts": []}
        self.planned_before = 0
        self.attempts: list[dict] = []
        self.plan: dict[str, Write] = {}
        self.breakers: dict[tuple, tuple] = {}

    def take(self, run: int, as_of: datetime, trusted: set[str], seen: list[Row], resolved: set[str]) -> None:
        """A run: differences that trusted pairs showed, as judged, and the ids of those that it closed."""
        for pair in trusted:
            self.trusted[pair].append(run)
        now = {row["discrepancy_id"] for row in seen}
        self.verify(run, trusted, now, resolved)
        holding = [row for row in self.decisions if row["until"] is None or date.fromisoformat(row["until"]) >= as_of.date()]
        self.plan = {}
        for row in seen:
            self.look_at(run, as_of, row, holding)
        for each in resolved:
            self.lines[each].is_resolved = True

    def verify(self, run: int, trusted: set[str], now: set[str], resolved: set[str]) -> None:
        for attempt in self.attempts:
            each = attempt["discrepancy_id"]
            if attempt["outcome"] in ("written", "unknown") and not attempt["verification"] and attempt["reconciliation"] in trusted:
                gone = each in resolved or self.lines[each].is_resolved
                attempt["verification"] = "failed" if each in now else "verified" if gone else None

    def look_at(self, run: int, as_of: datetime, row: Row, holding: list[Row]) -> None:
        each, compared = row["discrepancy_id"], (row["left_compared"], row["right_compared"])
        line = self.lines.get(each)
        policy = best(self.policies, row)
        fixed_by = (policy["operation"], policy["writes_to"]) if policy and policy["operation"] else None
        state, decision, decided = self.decided(line, row, compared, holding, fixed_by)
        known_fix = line.decided_fix if line and line.decision == decision and not line.is_resolved else None
        if line is None:
            line = self.lines[each] = Line(run, as_of)
        elif line.is_resolved:
            line.opened_in, line.is_resolved = run, False
        line.compared, line.runs_seen, line.state, line.decision, line.decided = compared, line.runs_seen + 1, state, decision, decided
        line.decided_fix = (known_fix or fixed_by) if decision and decision["decision"] == "fix" else None
        standing = decision["decision"] if decision and state == "in force" else None
        line.policy = policy
        self.intend(line, row)
        line.answer = self.answer(line, row, standing, as_of)
        if line.answer["response"] == "fix" and line.answer["status"] == "open" and self.is_due(line, row):
            self.plan[each] = line.intended

    def decided(self, line: Line | None, row: Row, compared: tuple, holding: list[Row], fixed_by: tuple | None) -> tuple:
        """State, decision and the values it was taken on."""
        own = [one for one in holding if one["discrepancy_id"] == row["discrepancy_id"]]
        patterns = [one for one in holding if one["discrepancy_id"] is None]
        decision = max(own, key=lambda one: one["decided_at"], default=None) or best(patterns, row)
        if decision is None:
            return None, None, ()
        if line is None:
            return ("values changed" if own else "in force"), decision, compared
        if line.is_resolved:
            return ("resolved since" if own else "in force"), decision, compared
        if line.decision == decision:
            if line.state != "in force" or line.decided != compared:
                return ("values changed" if line.state == "in force" else line.state), decision, line.decided
            is_another_fix = decision["decision"] == "fix" and None not in (line.decided_fix, fixed_by) and line.decided_fix != fixed_by
            return ("policy changed" if is_another_fix else "in force"), decision, line.decided
        return ("in force" if line.compared == compared else "values changed"), decision, compared

    def intend(self, line: Line, row: Row) -> None:
        """What its policy row would write, and all that speaks against it."""
        line.intended, line.objections, policy = None, set(), line.policy
        if not policy or not policy["operation"]:
            line.objections = {"no policy row says what to write where"}
            return
        operation, target, record = policy["operation"], policy["writes_to"], policy["system_of_record"]
        written, source = SIDES[target], SIDES[record]
        is_ended = row[f"{written}_in_scope"] and not row[f"{source}_in_scope"] and row["field"] == "status"
        to_value = None
        if operation == "end" or (operation == "update" and row["field"] == "status"):
            status = row[f"{source}_compared"] if row["bucket"] == "conflict" else "inactive"
            table = TABLES.get((row["reconciliation"], target), "subscriptions")
            to_value = self.words.get((target, table, status))
        elif operation == "update":
            to_value = row[f"{source}_value"]
            if row["field"] == "amount":
                compared = row[f"{source}_compared"]
                to_value = compared and f"{Decimal(compared).normalize():f}"
        against = {
            f"its cause is: {row['cause']}": row["cause"] in UNCLEAR,
            f"it may be the same record as {row['candidate_key']}": row["candidate_key"] is not None,
            f"its cause is: {row['cause']}, and the policy does not name that cause": row["cause"] in TO_BE_NAMED
            and policy["cause"] is None,
            "both sides are out of date": row["stale_side"] == "both",
            f"by the evidence it is {record} that is out of date": row["stale_side"] == source,
            "a value can not be read": row["left_is_unreadable"] or row["right_is_unreadable"],
            f"it would end the record in {target}, and the policy does not say end": operation == "update" and is_ended,
            "it would end nothing, and the policy only ends": operation == "end" and row["bucket"] == "conflict" and not is_ended,
            f"seeds/status_map.csv marks no word that is written to {target} for it": to_value is None
            and (operation == "end" or (operation == "update" and row["field"] == "status")),
            f"{record} says nothing there": to_value is None and operation == "update" and row["field"] != "status",
        }
        line.objections = {words for words, holds in against.items() if holds}
        line.intended = Write(row["discrepancy_id"], line.opened_in, operation, target, to_value, *line.compared)
        line.from_value = row[f"{written}_value"]
        failed = [one for one in self.attempts if one["write"] == line.intended and one["verification"] == "failed"]
        if failed:
            line.objections.add("it was written, and run")

    def answer(self, line: Line, row: Row, standing: str | None, as_of: datetime) -> dict[str, Any]:
        policy = line.policy["response"] if line.policy else "report"
        wanted = {"accept": "report", "release": "report"}.get(standing, standing or policy)
        response = "report" if wanted == "fix" and line.objections else wanted
        changed = max((time for time in (row["left_updated_at"], row["right_updated_at"]) if time), default=None)
        is_young = changed is not None and changed > as_of - LAG and line.first_seen_at > as_of - LAG
        answered = "accepted" if standing == "accept" else "quarantined" if response == "quarantine" else "open"
        owner = best(self.owners, row)
        return {
            "owner": owner["owner"], "days_to_decide": owner["days_to_decide"], "decision_state": line.state,
            "response": response, "status": "in_flight" if is_young else answered,
        }  # fmt: skip

    def is_due(self, line: Line, row: Row) -> bool:
        since = sum(run >= line.opened_in for run in self.trusted[row["reconciliation"]])
        done = [one for one in self.attempts if one["write"] == line.intended and one["outcome"] in ("written", "unknown")]
        return min(line.runs_seen, since) >= (line.policy["least_runs"] or LEAST_RUNS) and not done

    def stop(self, untrusted: int, waves: Mapping[str, int], of_waves: set[str], in_scope: Mapping[str, int], let: Mapping[tuple, float]):
        """The breakers: (pair, policy, name) → observed, most, tripped. `let` are those that a person let through, up to a number."""
        found: dict[tuple, tuple[float, float]] = {("", "", "every_pair_is_trusted"): (untrusted, 0)}
        pair_of = {each: self.lines[each].policy["reconciliation"] for each in self.plan}
        for pair, kinds in waves.items():
            found[pair, "", "no_wave"] = (kinds + sum(pair_of[each] == pair for each in of_waves & self.plan.keys()), 0)
        groups: dict[tuple[str, str], list[Row]] = {}
        for each, pair in pair_of.items():
            for policy in (in_words(self.lines[each].policy), ""):
                groups.setdefault((pair, policy), []).append(self.lines[each].policy)
        for (pair, policy), rows in groups.items():
            most_rows = max(MOST_ROWS if row["most_rows"] is None else row["most_rows"] for row in rows)
            most_share = max(MOST_SHARE if row["most_share"] is None else row["most_share"] for row in rows)
            found[pair, policy, "no_more_rows_than_allowed"] = (len(rows), most_rows)
            found[pair, policy, "no_greater_share_than_allowed"] = (len(rows) / in_scope[pair], most_share)
        found["", "", "no_more_than_any_run_before"] = (len(self.plan), self.planned_before)
        self.breakers = {
            each: (observed, most, observed > most and not (each[2] in ("no_wave", "no_more_than_any_run_before")
                   and observed <= let.get((each[0], each[2]), -1)))
            for each, (observed, most) in found.items()
        }  # fmt: skip
        if not self.is_stopped():
            self.planned_before = max(self.planned_before, len(self.plan))

    def is_stopped(self) -> bool:
        return any(tripped for *_, tripped in self.breakers.values())
