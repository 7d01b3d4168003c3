"""What people write into seeds/ for the response: a row that could be read in two ways, or as none, ends the run with exit 2.

The dbt tests' own SQL, row by row; one real run at the end shows that it ends a run.
"""

import csv
from collections.abc import Iterator

import duckdb
import pytest
from engine import Engine
from engine import project as compiled

ID = "0123456789abcdef0123456789abcdef"
DECISION = {"discrepancy_id": ID, "decision": "accept", "decided_by": "Ana", "decided_at": "2026-03-03T09:00:00Z"}
KIND = {"discrepancy_id": None, "reconciliation": "customers"}
REPORT = {"response": "report", "reconciliation": "customers"}
FIX = {"response": "fix", "reconciliation": "customers", "bucket": "conflict", "field": "email", "operation": "update",
       "writes_to": "billing", "system_of_record": "crm"}  # fmt: skip
CREATE = FIX | {"bucket": "left_only", "field": None, "operation": "create"}
OWNER = {"owner": "RevOps", "days_to_decide": 7}
CATCH_ALL = [OWNER | {"reconciliation": pair} for pair in ("customers", "contracts")]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        yield engine


def said_against(engine: Engine, assertion: str, **seeds: list[dict]) -> str:
    """How the dbt test puts it; '' where it has nothing to say."""
    for name, rows in seeds.items():
        engine.seed(name, rows)
    try:
        assert engine.rows(compiled().assertions[assertion]) == []
    except duckdb.InvalidInputException as refused:
        return str(refused)
    finally:
        for name in seeds:
            engine.seed(name)
    return ""


@pytest.mark.parametrize("assertion", [name for name in compiled().assertions if name.startswith("assert_")])
def test_what_is_shipped_can_be_read(engine, assertion):
    if any(f'"seeds"."{seed}"' in compiled().assertions[assertion] for seed in ("owners", "decisions", "response_policies", "status_map")):
        assert said_against(engine, assertion) == ""


DECISIONS = [
    ({"decision": None}, "decision must be accept, quarantine, release or fix"),
    ({"decision": "Accept"}, "decision must be"),
    ({"decided_by": None}, "decided_by is blank"),
    ({"decided_at": None}, "decided_at is no time"),
    ({"decided_at": "yesterday"}, "decided_at is no time"),
    ({"until": "2026-02-30"}, "until is no date such as 2026-12-31"),
    ({"until": "31.12.2026"}, "until is no date"),
    ({"until": "2026-12-31T00:00:00Z"}, "until is no date"),
    ({"reconciliation": "customers"}, "it names a difference and a kind"),
    ({"discrepancy_id": None}, "it names neither a difference nor a kind"),
    ({"discrepancy_id": "C-00001"}, "discrepancy_id is none"),
    (KIND | {"reconciliation": "customer"}, "there is no pair customer"),
    (KIND | {"bucket": "missing"}, "bucket must be left_only, right_only or conflict"),
    (KIND | {"cause": "gone"}, "there is no cause gone"),
    (KIND | {"bucket": "left_only", "field": "email"}, "a record that stands on one side has no field"),
    (KIND | {"field": "e-mail"}, "customers has no field e-mail: status, email, country"),
    (KIND | {"field": "amount"}, "customers has no field amount"),
    (KIND | {"reconciliation": None, "field": "customer_number"}, "no pair has a field customer_number"),
    ({}, ""),
    ({"until": "2026-12-31"}, ""),
    (KIND | {"bucket": "conflict", "field": "email", "cause": "agreed before, gone now"}, ""),
    (KIND | {"reconciliation": None, "field": "email"}, ""),
]


@pytest.mark.parametrize(("change", "wrong"), DECISIONS)
def test_a_decision_is_refused_where_it_can_not_be_read(engine, change, wrong):
    told = said_against(engine, "assert_decisions_can_be_read", decisions=[DECISION | change])
    assert (wrong in told) if wrong else told == ""
    assert not wrong or "seeds/decisions.csv" in told


POLICIES = [
    (REPORT | {"response": None}, "response must be report, fix or quarantine"),
    (REPORT | {"response": "delete"}, "response must be"),
    (REPORT | {"reconciliation": "customer"}, "there is no pair customer"),
    (REPORT | {"bucket": "missing"}, "bucket must be"),
    (REPORT | {"cause": "gone"}, "there is no cause gone"),
    (REPORT | {"bucket": "right_only", "field": "email"}, "a record that stands on one side has no field"),
    (FIX | {"field": "plan"}, "customers has no field plan"),
    (REPORT | {"field": "stage", "reconciliation": "contracts"}, "contracts has no field stage: status, plan, amount, currency"),
    (REPORT | {"least_runs": 0}, "least_runs must be at least 1"),
    (REPORT | {"most_rows": -1}, "most_rows at least 0"),
    (REPORT | {"most_share": -0.1}, "most_share between 0 and 1"),
    (REPORT | {"most_share": 1.5}, "most_share between 0 and 1"),
    (FIX | {"response": "quarantine"}, "what is quarantined is not written"),
    (REPORT | {"response": "fix"}, "a fix needs operation, writes_to and system_of_record"),
    (FIX | {"operation": None}, "are needed together"),
    (FIX | {"writes_to": None}, "are needed together"),
    (FIX | {"system_of_record": None}, "are needed together"),
    (FIX | {"response": "report", "operation": None}, "are needed together"),
    (FIX | {"reconciliation": None}, "must name its pair and bucket"),
    (FIX | {"bucket": None}, "must name its pair and bucket"),
    (FIX | {"system_of_record": "billing"}, "must be crm and billing, one each"),
    (FIX | {"writes_to": "erp"}, "must be crm and billing, one each"),
    (FIX | {"system_of_record": "erp"}, "must be crm and billing, one each"),
    (FIX | {"operation": "create"}, "a conflict is fixed by update or end"),
    (FIX | {"operation": "delete"}, "a conflict is fixed by update or end"),
    (FIX | {"field": None}, "what is written must name its field"),
    (CREATE | {"operation": "update"}, "a record on one side is fixed by create, end or delete"),
    (CREATE | {"writes_to": "crm", "system_of_record": "billing"}, "create is written to the side that lacks the record"),
    (CREATE | {"operation": "end"}, "end and delete to the side that has it"),
    (CREATE | {"operation": "delete"}, "end and delete to the side that has it"),
    (CREATE | {"bucket": "right_only"}, "create is written to the side that lacks the record"),
    (REPORT, ""),
    (FIX, ""),
    (FIX | {"response": "report"}, ""),
    (CREATE, ""),
    (CREATE | {"bucket": "right_only", "operation": "delete"}, ""),
    (FIX | {"field": "status", "operation": "end", "cause": "removed or ended there, still here", "most_rows": 0, "most_share": 1}, ""),
]


@pytest.mark.parametrize(("row", "wrong"), POLICIES)
def test_a_policy_is_refused_where_it_does_not_say_what_and_where(engine, row, wrong):
    told = said_against(engine, "assert_response_policies_can_be_read", response_policies=[row])
    assert (wrong in told) if wrong else told == ""
    assert not wrong or "seeds/response_policies.csv" in told


OWNERS_ROWS = [
    ({"owner": None}, "owner is blank"),
    ({"days_to_decide": None}, "days_to_decide must be at least 0"),
    ({"days_to_decide": -1}, "days_to_decide must be at least 0"),
    ({"reconciliation": "customer"}, "there is no pair customer"),
    ({"bucket": "missing"}, "bucket must be"),
    ({"cause": "gone"}, "there is no cause gone"),
    ({"bucket": "right_only", "field": "email"}, "a record that stands on one side has no field"),
    ({"field": "mail"}, "no pair has a field mail"),
    ({"reconciliation": "contracts", "field": "email"}, "contracts has no field email"),
    ({}, ""),
    ({"field": "email"}, ""),
    ({"reconciliation": "contracts", "bucket": "conflict", "field": "starts_on", "cause": "unknown"}, ""),
]


@pytest.mark.parametrize(("change", "wrong"), OWNERS_ROWS)
def test_an_owner_of_a_kind_that_there_is_not_is_refused(engine, change, wrong):
    told = said_against(engine, "assert_owners_can_be_read", owners=[OWNER | change])
    assert (wrong in told) if wrong else told == ""
    assert not wrong or "seeds/owners.csv" in told


OWNERS = [
    ([], "has no owner for"),
    (CATCH_ALL[:1], "has no owner for contracts"),
    ([*CATCH_ALL[:1], CATCH_ALL[1] | {"owner": None}], "has no owner for contracts"),
    ([*CATCH_ALL[:1], CATCH_ALL[1] | {"days_to_decide": None}], "has no owner for contracts"),
    ([*CATCH_ALL[:1], CATCH_ALL[1] | {"days_to_decide": -1}], "has no owner for contracts"),
    ([*CATCH_ALL[:1], CATCH_ALL[1] | {"field": "status"}], "has no owner for contracts"),
    ([CATCH_ALL[0], *(CATCH_ALL[1] | {"bucket": bucket} for bucket in ("left_only", "conflict"))], "contracts, right_only"),
    ([CATCH_ALL[0], CATCH_ALL[1] | {"cause": "unknown"}], "has no owner for contracts"),
    ([OWNER], ""),
    ([CATCH_ALL[0], *(CATCH_ALL[1] | {"bucket": bucket} for bucket in ("left_only", "right_only", "conflict"))], ""),
]


@pytest.mark.parametrize(("rows", "wrong"), OWNERS)
def test_every_kind_of_difference_needs_an_owner(engine, rows, wrong):
    told = said_against(engine, "assert_every_kind_of_difference_has_an_owner", owners=rows)
    assert (wrong in told) if wrong else told == ""


WORD = {"system": "crm", "table_name": "customers", "word": "trial", "status": "active"}
TWICE = [
    ("owners", [*CATCH_ALL, CATCH_ALL[0] | {"owner": "Finance"}], "seeds/owners.csv says customers 2 times"),
    ("owners", [OWNER, OWNER], "seeds/owners.csv says everything 2 times"),
    ("status_map", [WORD, WORD | {"status": "paused"}], "seeds/status_map.csv says crm customers trial 2 times"),
    ("currencies", [{"currency": "EUR"}] * 2, "seeds/currencies.csv says EUR 2 times"),
    ("response_policies", [FIX, FIX | {"least_runs": 5}], "seeds/response_policies.csv says customers, conflict, email 2 times"),
    (
        "status_map",
        [WORD | {"is_written": True}, WORD | {"word": "active", "is_written": True}],
        "is_written for crm customers active 2 times",
    ),
    ("status_map", [WORD | {"is_written": True}, WORD | {"word": "active"}, WORD | {"table_name": "deals", "is_written": True}], ""),
    ("response_policies", [FIX, FIX | {"cause": "unknown"}], ""),
]


@pytest.mark.parametrize(("seed", "rows", "wrong"), TWICE)
def test_nothing_may_be_said_twice(engine, seed, rows, wrong):
    told = said_against(engine, "assert_no_seed_says_one_thing_twice", **{seed: rows})
    assert (wrong in told) if wrong else told == ""


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (
            ["customers", "right_only", "", "", "fix", "delete", "", "", "", "", "", ""],
            "seeds/response_policies.csv, customers, right_only: operation, writes_to and system_of_record are needed together",
        ),
        (["customers", "", "", "", "report", "", "", "", "", "many", "", ""], "Could not convert string 'many' to INT32"),
    ],
    ids=["row", "cell"],
)
def test_a_policy_that_can_not_be_read_ends_the_run_and_leaves_what_is_published(project, first_night, tmp_path, row, says):
    """In a real run, with exit 2: nothing is built from it."""
    world = first_night.copy(tmp_path / "world")
    world.project = project
    with (project / "seeds/response_policies.csv").open("a", newline="") as seed:
        csv.writer(seed).writerow(row)
    before = world.fingerprint()
    ran = world.reconcile("--quiet")
    assert ran.code == 2
    assert ran.says("seeds/response_policies.csv", says)
    assert world.fingerprint() == before
