"""`tallystick explain`: what a person reads about one record."""

import duckdb
import pytest
from conftest import World, at, say


@pytest.fixture(scope="module")
def told(first_night: World, quiet_customer: str, tmp_path_factory) -> World:
    """A second night on which the CRM moved a customer to Austria, and billing did not hear of it."""
    world = at(first_night.copy(tmp_path_factory.mktemp("told")), 4)
    say(world, "crm", quiet_customer, country="AT\x1b[31m", updated_at="2026-03-03T12:00:00Z")
    assert world.reconcile().code == 0
    return world


def test_one_screen_says_both_sides_the_base_the_cause_and_the_evidence(told, quiet_customer):
    ran = told.run("explain", f" {quiet_customer.lower()} ")
    assert ran.code == 0, ran.err
    assert "changed here, never arrived there" in ran.out
    assert "stale: billing" in ran.out
    assert "out of step since 2026-03-03 12:00 UTC" in ran.out
    assert "last agreed 2026-03-03 03:00 UTC" in ran.out
    assert "between 3 and 4 March 2026" in ran.out
    assert any(line.startswith("≠ country") and "AT" in line for line in ran.out.splitlines())
    assert ran.out.count("\n") < 40


def test_a_difference_is_known_by_its_id(told, quiet_customer):
    ((id_,),) = told.query(f"select discrepancy_id from marts.discrepancies where record_key = '{quiet_customer}' and field = 'country'")
    assert told.run("explain", id_).out == told.run("explain", quiet_customer).out


def test_what_a_terminal_would_obey_is_not_printed(told, quiet_customer):
    assert "\x1b" not in told.run("explain", quiet_customer).out


def test_a_record_without_a_difference_is_told_as_well(first_night, quiet_customer):
    ran = first_night.run("explain", quiet_customer, "--pair", "customers")
    assert ran.code == 0, ran.err
    assert "none" in ran.out
    assert "≠" not in ran.out


def test_a_record_of_one_side_shows_who_lacks_it(first_night):
    ((key,),) = first_night.query(
        "select min(record_key) from marts.discrepancies where bucket = 'right_only' and reconciliation = 'customers'"
    )
    out = first_night.run("explain", key).out
    assert "right only: open" in out
    assert any("no such record" in line and "✗" in line for line in out.splitlines())


def test_who_decides_what_was_decided_and_what_was_written_are_told(first_night, tmp_path):
    world = first_night.copy(tmp_path / "world")
    ((key, difference),) = world.query(
        """
        select record_key, discrepancy_id from marts.discrepancies
        where field = 'status' and reconciliation = 'contracts' and status = 'open'
        order by all limit 1
        """
    )
    with duckdb.connect(world.warehouse) as connection:
        connection.execute("set TimeZone = 'UTC'")
        decided = "update marts.discrepancy_history set decision_id = 'd', decision_state = 'in force' where discrepancy_id = ?"
        connection.execute(decided, [difference])
        connection.execute(
            "insert into marts.decision_status by name select 'd' decision_id, 'fix' decision, 'Ana' decided_by, 'it ends' note"
        )
        connection.execute(
            """
            insert into marts.decision_status by name
            select 'e' as decision_id, ? as discrepancy_id, 'accept' as decision, 'Ben' as decided_by,
                date '2026-03-02' as until, 'expired' as state
            """,
            [difference],
        )
        connection.execute(
            """
            insert into marts.fix_log by name
            select 'k' as idempotency_key, 1 as attempt, 'contracts' as reconciliation, ? as record_key, 'end' as operation,
                'status' as field, 'billing' as target_system, timestamptz '2026-03-04 09:00:00Z' as attempted_at,
                'written' as outcome, 'verified' as verification, '000002-x' as verified_in_run
            """,
            [key],
        )
    out = world.run("explain", key, "--pair", "contracts").out
    assert "Finance decides by 2026-03-05; reported, as no policy says otherwise" in out
    assert "conflict status: fix by Ana, in force: it ends" in out
    assert "conflict status: accept by Ben until 2026-03-02, expired" in out
    assert "end status in billing 2026-03-04 09:00 UTC: written, verified by run 000002-x" in out


def test_only_the_pair_asked_for(first_night):
    ((key,),) = first_night.query("select min(record_key) from marts.discrepancies where reconciliation = 'contracts'")
    assert first_night.run("explain", key, "--pair", "contracts").code == 0
    ran = first_night.run("explain", key, "--pair", "customers")
    assert ran.code == 2
    assert ran.says("No side of customers")


@pytest.mark.parametrize("arguments", [["C-0"], ["C-0", "--pair", "nothing"], [""], ["'; drop table"]])
def test_what_nobody_has_is_said_in_a_sentence(first_night, arguments):
    ran = first_night.run("explain", *arguments)
    assert ran.code == 2
    assert ran.says("Nothing was touched")


def test_without_a_run_the_way_out_is_a_run(world):
    assert world.run("explain", "C-1").says("make reconcile")
