"""`tallystick explain`: what a person reads about one record."""

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
