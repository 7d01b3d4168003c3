"""The response against plain Python over generated worlds, and what must hold for every plan whatever people stated."""

import csv
import random
from collections import Counter
from collections.abc import Iterator

import oracle
import pytest
from engine import Engine, project
from judgements import night
from oracle_respond import KIND, LEAST_RUNS, MOST_ROWS, MOST_SHARE, SIDES, Responder, in_words
from test_judged_worlds import drawn_worlds, worlds_until
from test_oracle import LIFTED, TABLES, World, played

from pipelines.settings import project_vars

WORLDS = 3
CAUSES = [
    "created here, never arrived there", "removed or ended there, still here", "changed here, never arrived there",
    "changed on both sides", "an older value overwrote a newer one", "agreed before, gone now", "unknown",
]  # fmt: skip
FIELDS = {
    "customers": ["status", "status", "email", "country"],
    "contracts": ["status", "status", "plan", "amount", "currency", "interval", "starts_on"],
}
OUTCOMES = ["written", "written", "unknown", "refused", "dropped"]


class People:
    """Who state something, by chance and yet so that it can be read."""

    def __init__(self, chance: random.Random, are_generous: bool):
        self.chance, self.are_generous, self.said = chance, are_generous, 0
        pairs = list(project_vars()["reconciliations"])
        self.owners = once([{"reconciliation": pair, **self.owner()} for pair in pairs] + [self.kind() | self.owner() for _ in range(8)])
        self.policies = once([self.policy() for _ in range(120)])
        self.decisions: list[dict] = []
        shipped = [row | {"is_written": row["is_written"] == "true"} for row in of_csv("status_map")]
        self.words = [row | {"is_written": row["is_written"] and chance.random() < 0.9} for row in shipped]

    def owner(self) -> dict:
        return {"owner": self.chance.choice(["RevOps", "Finance", "Ana"]), "days_to_decide": self.chance.choice([0, 2, 7])}

    def kind(self) -> dict:
        """Of differences; what is None fits any."""
        pair, bucket = self.chance.choice(list(FIELDS)), self.chance.choice(["left_only", "right_only", "conflict", "conflict"])
        return {
            "reconciliation": self.chance.choice([pair, pair, None]),
            "bucket": self.chance.choice([bucket, bucket, None]),
            "field": self.chance.choice([None, *FIELDS[pair]]) if bucket == "conflict" else None,
            "cause": self.chance.choice([None, None, "unknown", "unknown", *CAUSES]),
        }

    def policy(self) -> dict:
        kind, chance = self.kind(), self.chance
        if chance.random() < 0.15:
            return kind | {"response": chance.choice(["report", "quarantine"]), "operation": None}
        pair = kind["reconciliation"] = chance.choice(list(FIELDS))
        bucket = kind["bucket"] = chance.choice(["left_only", "right_only", *["conflict"] * 4])
        written = chance.choice(list(SIDES))
        if bucket == "conflict":
            kind["field"] = chance.choice(FIELDS[pair])
            operation = chance.choice(["update", "update", "end"])
        else:
            kind["field"] = None
            lacks = {"left_only": "billing", "right_only": "crm"}[bucket]
            operation = "create" if written == lacks else chance.choice(["end", "delete"])
        limits = {
            "least_runs": chance.choice([1, 1, 1, 2, None]),
            "most_rows": 1_000 if self.are_generous else chance.choice([None, 3, 20, 1_000]),
            "most_share": 1 if self.are_generous else chance.choice([None, 0.02, 0.2, 1]),
        }  # fmt: skip
        systems = {"writes_to": written, "system_of_record": next(system for system in SIDES if system != written)}
        return kind | {"response": chance.choice(["fix", "fix", "fix", "report"]), "operation": operation} | systems | limits

    def decide(self, seen: list[dict], as_of) -> None:
        """Some more decisions, on differences that are there and on kinds of them."""
        for _ in range(30):
            self.said += 1
            about = {"discrepancy_id": None} | self.kind()
            if seen and (self.chance.random() < 0.9 or not about["cause"]):
                about = dict.fromkeys(KIND) | {"discrepancy_id": self.chance.choice(seen)["discrepancy_id"]}
            until = self.chance.choice([None, None, None, -1, 0, 1, 3])
            self.decisions.append(about | {
                "decision": self.chance.choice(["accept", "quarantine", "release", "fix", "fix"]), "decided_by": "Ana",
                "decided_at": f"2026-03-01T{self.said // 60:02}:{self.said % 60:02}:00Z",
                "until": None if until is None else f"{as_of + until * oracle.LAG:%Y-%m-%d}",
            })  # fmt: skip


def once(rows: list[dict]) -> list[dict]:
    """Of rows that state the same kind the first: a seed may not say a thing twice."""
    return list({tuple(row.get(name) for name in KIND): row for row in reversed(rows)}.values())


def of_csv(name: str) -> list[dict]:
    with project().seeds[name][1].open(newline="") as file:
        return [{column: value or None for column, value in row.items()} for row in csv.DictReader(file)]


class Played:
    """One world night by night, with its people, beside the oracle."""

    def __init__(self, world: World, number: int):
        self.world, self.chance = world, random.Random(number)
        self.people = People(self.chance, are_generous=number % 2 == 0)
        self.responder = Responder(self.people.owners, self.people.policies, self.people.words)
        self.attempts: list[dict] = []
        self.keys: dict[str, tuple] = {}
        self.let: dict[tuple, float] = {}

    def nights(self) -> Iterator[Engine]:
        with Engine(**LIFTED, least_listed_for_a_wave=10_000 if self.people.are_generous else 5) as engine:
            engine.seed("key_map", [])
            for name in ("owners", "response_policies", "status_map"):
                engine.seed(name, {"response_policies": self.people.policies, "owners": self.people.owners}.get(name, self.people.words))
            for number, (as_of, tables) in enumerate(played(self.world._replace(key_map=False)), 1):
                self.people.decide(engine.rows("from published.marts.discrepancy_history where resolved_at is null"), as_of)
                engine.seed("decisions", self.people.decisions)
                self.responder.decisions = self.people.decisions
                untrusted = [] if number - 1 != self.world.untrusted else [("crm", "deals")] if number == 2 else TABLES
                night(engine, as_of, tables, untrusted=untrusted)
                self.tell_oracle(engine, number, as_of)
                yield engine
                self.apply(engine)
                self.accept(engine)

    def tell_oracle(self, engine: Engine, run: int, as_of) -> None:
        runs = engine.rows("from warehouse.marts.runs where run_seq = $1", run)
        trusted = {row["reconciliation"] for row in runs if row["verdict"] == "trusted"}
        resolved = engine.rows("from warehouse.marts.discrepancy_history where resolved_in_run = $1", runs[0]["run_id"])
        self.responder.take(run, as_of, trusted, engine.rows("from snapshot.judge.judgements"), {row["discrepancy_id"] for row in resolved})
        waves = engine.rows("select reconciliation, is_wave is not false as counts from snapshot.judge.waves")
        of_waves = engine.rows(
            """
            select discrepancy_id from warehouse.marts.discrepancy_history as history
            inner join warehouse.marts.runs as runs on runs.reconciliation = history.reconciliation and runs.run_id = listed_in_run
            where has_wave is not false and run_seq < $1
            """,
            run,
        )
        self.responder.stop(
            sum(row["verdict"] != "trusted" for row in runs),
            {pair: sum(row["counts"] for row in waves if row["reconciliation"] == pair) for pair in trusted},
            {row["discrepancy_id"] for row in of_waves},
            {row["reconciliation"]: min(row["left_in_scope"] or 0, row["right_in_scope"] or 0) for row in runs},
            self.let,
        )

    def apply(self, engine: Engine) -> None:
        """Some of the plan is sent, stopped or not: the journal is what a run must believe."""
        for row in engine.rows("from warehouse.marts.fix_plan order by idempotency_key"):
            if self.chance.random() < 0.3:
                attempt = 1 + sum(one["idempotency_key"] == row["idempotency_key"] for one in self.attempts)
                told = {name: row.get(name) for name in engine_columns(engine)} | {
                    "attempt": attempt, "outcome": self.chance.choice(OUTCOMES), "detail": "", "attempted_at": "2026-03-03T09:00:00Z",
                }  # fmt: skip
                self.attempts.append(told)
                names = ", ".join(f"${name} as {name}" for name in told)
                engine.connection.execute(f"insert into snapshot.pulls.fix_attempts by name select {names}", told)
                kept = {name: told[name] for name in ("discrepancy_id", "reconciliation", "outcome")}
                self.responder.attempts.append(kept | {"write": self.responder.plan[row["discrepancy_id"]], "verification": None})

    def accept(self, engine: Engine) -> None:
        """Now and then a person lets a plan through, for as much as it was."""
        self.let, rows = {}, []
        for row in engine.rows(
            "from warehouse.marts.fix_breakers where run_id = (select max(run_id) from warehouse.marts.runs) and tripped"
        ):
            if row["can_be_accepted"] and (self.people.are_generous or self.chance.random() < 0.5):
                accepted = self.let[row["reconciliation"], row["breaker"]] = row["observed"] * (20 if self.people.are_generous else 1)
                rows.append({
                    "reconciliation": row["reconciliation"] or None, "run_id": row["run_id"], "side": "both", "check_name": row["breaker"],
                    "observed": accepted, "reason": "read it", "accepted_by": "Ana", "accepted_at": "2026-03-03T09:00:00Z",
                })  # fmt: skip
        engine.seed("accepted_counts", rows)


def engine_columns(engine: Engine) -> list[str]:
    return [row["column_name"] for row in engine.rows("describe snapshot.pulls.fix_attempts")]


def mismatches(engine: Engine, told: Played) -> list[str]:
    """One line a thing on which models and oracle are not of one mind."""
    truth, wrong = told.responder, []
    for row in engine.rows(
        "select *, sightings.discrepancy_id is not null as is_seen from warehouse.marts.discrepancy_history "
        "left join snapshot.judge.sightings as sightings using (discrepancy_id) where resolved_at is null"
    ):
        line = truth.lines[row["discrepancy_id"]]
        names = [name for name in line.answer if name != "status" or row["is_seen"]]
        wrong += [
            f"{name} of {row['record_key']} {row['field']}: {row[name]}, {line.answer[name]}"
            for name in names
            if row[name] != line.answer[name]
        ]
        objection = row["fix_objection"]
        if bool(objection) != bool(line.objections) or (objection and not any(objection.startswith(each) for each in line.objections)):
            wrong.append(f"objection to {row['record_key']} {row['field']}: {objection}, {line.objections}")
        if not row["response_reason"]:
            wrong.append(f"no reason for {row['record_key']}")
    plan = engine.rows("from warehouse.marts.fix_plan")
    found = {row["discrepancy_id"]: as_planned(row) for row in plan}
    expected = {each: expected_of(truth, each) for each in truth.plan}
    wrong += [
        f"plan of {each}: {found.get(each)}, {expected.get(each)}"
        for each in found.keys() | expected.keys()
        if found.get(each) != expected.get(each)
    ]
    for row in plan:
        if told.keys.setdefault(row["idempotency_key"], truth.plan.get(row["discrepancy_id"])) != truth.plan.get(row["discrepancy_id"]):
            wrong.append(f"one key for two writes: {row['record_key']}")
    if len(set(told.keys.values())) != len(told.keys):
        wrong.append("two keys for one write")
    now = engine.rows("from warehouse.marts.fix_breakers where run_id = (select max(run_id) from warehouse.marts.runs)")
    breakers = {(row["reconciliation"], row["policy"], row["breaker"]): (row["observed"], row["most"], row["tripped"]) for row in now}
    wrong += [
        f"breaker {each}: {breakers.get(each)}, {truth.breakers.get(each)}"
        for each in breakers.keys() | truth.breakers.keys()
        if breakers.get(each) != pytest.approx(truth.breakers.get(each))
    ]
    if {row["is_stopped"] for row in plan} - {truth.is_stopped()}:
        wrong.append(f"stopped: {not truth.is_stopped()}, {truth.is_stopped()}")
    verified = {(row["idempotency_key"], row["attempt"]): row["verification"] for row in engine.rows("from warehouse.marts.fix_log")}
    for told_of, attempt in zip(told.attempts, truth.attempts, strict=True):
        if verified[told_of["idempotency_key"], told_of["attempt"]] != attempt["verification"]:
            wrong.append(f"verification of {told_of['record_key']}: {verified[told_of['idempotency_key'], told_of['attempt']]}, {attempt}")
    return wrong


def as_planned(row: dict) -> tuple:
    return (row["operation"], row["target_system"], row["from_value"], row["to_value"], row["policy"])


def expected_of(truth: Responder, each: str) -> tuple:
    write, line = truth.plan[each], truth.lines[each]
    return (write.operation, write.target, line.from_value, write.to_value, in_words(line.policy))


def must_hold(engine: Engine, told: Played) -> None:
    """What no policy, decision or night may break."""
    plan = engine.rows("from warehouse.marts.fix_plan where not is_stopped")
    differences = {row["discrepancy_id"]: row for row in engine.rows("from warehouse.marts.discrepancies")}
    runs = {row["reconciliation"]: row for row in engine.rows("from warehouse.marts.runs order by run_seq")}
    policies = {in_words(row): row for row in told.people.policies}
    done = {one["idempotency_key"] for one in told.attempts if one["outcome"] in ("written", "unknown")}
    for row in engine.rows("from warehouse.marts.fix_plan"):
        difference, policy = differences[row["discrepancy_id"]], policies[row["policy"]]
        assert row["idempotency_key"] not in done, "never twice"
        assert runs[row["reconciliation"]]["verdict"] == "trusted"
        assert (difference["status"], difference["response"]) == ("open", "fix")
        assert row["runs_seen"] >= (policy["least_runs"] or LEAST_RUNS)
        assert (row["target_system"], row["operation"]) == (policy["writes_to"], policy["operation"])
        of_record = difference[f"{SIDES[policy['system_of_record']]}_value"]
        if row["operation"] == "update" and row["field"] not in ("status", "amount"):
            assert row["to_value"] == of_record is not None
        assert difference["stale_side"] in (SIDES[policy["writes_to"]], "unknown"), "never against the system of record"
    assert len({row["idempotency_key"] for row in plan}) == len(plan)
    assert not plan or all(row["verdict"] == "trusted" for row in runs.values())
    for pair in {row["reconciliation"] for row in plan}:
        records = min(runs[pair]["left_in_scope"], runs[pair]["right_in_scope"])
        of_pair = Counter(row["policy"] for row in plan if row["reconciliation"] == pair)
        allowed = [limits(policies[each]) for each in of_pair]
        assert of_pair.total() <= max(rows for rows, _ in allowed)
        assert of_pair.total() <= records * max(share for _, share in allowed)
        assert all(of_pair[each] <= rows and of_pair[each] <= records * share for each, (rows, share) in zip(of_pair, allowed, strict=True))


def limits(policy: dict) -> tuple[int, float]:
    rows, share = policy["most_rows"], policy["most_share"]
    return (MOST_ROWS if rows is None else rows), (MOST_SHARE if share is None else share)


def check(world: World, number: int, reached: Counter | None = None) -> None:
    told = Played(world, number)
    for played_night, engine in enumerate(told.nights(), 1):
        wrong = mismatches(engine, told)
        assert not wrong, f"world {number}, night {played_night}: {len(wrong)} in all: " + "\n".join(sorted(wrong)[:12])
        must_hold(engine, told)
        if reached is not None:
            take_note(engine, reached)


def take_note(engine: Engine, reached: Counter) -> None:
    for sql in (
        "select response || ' ' || status from warehouse.marts.discrepancies",
        "select 'decision ' || decision_state from warehouse.marts.discrepancy_history where decision_state is not null",
        "select case when is_stopped then 'stopped ' else 'planned ' end || operation from warehouse.marts.fix_plan",
        "select 'log ' || coalesce(verification, 'not verified') from warehouse.marts.fix_log",
        "select breaker || case when tripped then ' tripped' else ' held' end from warehouse.marts.fix_breakers",
    ):
        reached.update(value for row in engine.rows(sql) for value in row.values())


def test_the_response_is_as_the_oracle_has_it():
    reached = Counter()
    for number, world in enumerate(worlds_until(WORLDS, lambda: reached.keys() >= MUST_BE_REACHED)):
        check(world, number, reached)
    assert not MUST_BE_REACHED - reached.keys(), MUST_BE_REACHED - reached.keys()


@pytest.mark.sweep
def test_the_response_is_as_the_oracle_has_it_for_longer():
    for number, world in enumerate(drawn_worlds(20 * WORLDS, by=None)):
        check(world, number)


MUST_BE_REACHED = {
    "fix open", "fix in_flight", "report open", "report accepted", "quarantine quarantined", "report in_flight",
    "decision in force", "decision values changed", "decision resolved since",
    "stopped update", "stopped end", "stopped create", "stopped delete", "planned update",
    "log verified", "log failed", "log not verified",
    *(f"{breaker} {state}" for state in ("tripped", "held") for breaker in (
        "every_pair_is_trusted", "no_wave", "no_more_rows_than_allowed", "no_greater_share_than_allowed", "no_more_than_any_run_before")),
}  # fmt: skip
