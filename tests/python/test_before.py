"""What a run is judged against: the snapshot of each pair's last trusted run, kept beside the warehouse that it made."""

import os

from conftest import World, at, rewrite, say

from pipelines import run


def trusted_runs(world: World) -> dict[str, str]:
    return dict(
        world.query("select reconciliation, arg_max(run_id, run_seq) from marts.runs where verdict = 'trusted' group by reconciliation")
    )


def judged(world: World, number: str, field: str = "country") -> tuple:
    found = world.query(
        "select cause, stale_side, base_value from marts.discrepancies where record_key = ? and field = ?", number.strip().upper(), field
    )
    assert len(found) == 1, found
    return found[0]


def test_the_last_trusted_snapshot_is_kept_as_a_second_name_of_the_same_file(first_night):
    (kept,) = (first_night.state / "before").iterdir()
    assert {kept.stem} == set(trusted_runs(first_night).values())
    assert kept.samefile(first_night.state / "snapshot.duckdb")
    assert kept.stat().st_mode & 0o077 == 0


def test_a_broken_pair_keeps_its_own_base_while_the_other_goes_on(yesterday, quiet_customer):
    world = at(yesterday, 4)
    for system in ("crm", "billing"):
        say(world, system, quiet_customer, country="AT", updated_at="2026-03-03T12:00:00Z")
    whole = (world.crm / "deals.csv").read_text()
    (world.crm / "deals.csv").write_text("".join(whole.splitlines(keepends=True)[:100]))
    assert world.reconcile().code == 4
    assert world.verdicts() == {"customers": "trusted", "contracts": "not trustworthy"}
    last = trusted_runs(world)
    assert last["customers"] != last["contracts"]
    assert {kept.stem for kept in (world.state / "before").iterdir()} == set(last.values())

    (world.crm / "deals.csv").write_text(whole)
    say(world, "crm", quiet_customer, country="CH", updated_at="2026-03-04T12:00:00Z")
    ran = at(world, 5).reconcile()
    assert ran.code == 0, ran.err
    assert judged(world, quiet_customer) == ("changed here, never arrived there", "right", "AT")
    assert {kept.stem for kept in (world.state / "before").iterdir()} == set(trusted_runs(world).values())


def test_an_untrusted_night_leaves_the_base_alone(yesterday, quiet_customer):
    world = at(yesterday, 4)
    before = {kept.name: kept.stat().st_ino for kept in (world.state / "before").iterdir()}
    whole = (world.billing / "customers.csv").read_text()
    subscriptions = (world.billing / "subscriptions.csv").read_text()
    (world.billing / "customers.csv").write_text("".join(whole.splitlines(keepends=True)[:100]))
    (world.billing / "subscriptions.csv").write_text("".join(subscriptions.splitlines(keepends=True)[:100]))
    say(world, "crm", quiet_customer, country="AT", updated_at="2026-03-03T12:00:00Z")
    assert world.reconcile().code == 4
    assert {kept.name: kept.stat().st_ino for kept in (world.state / "before").iterdir()} == before

    (world.billing / "customers.csv").write_text(whole)
    (world.billing / "subscriptions.csv").write_text(subscriptions)
    assert at(world, 5).reconcile().code == 0
    cause, stale_side, _ = judged(world, quiet_customer)
    assert (cause, stale_side) == ("changed here, never arrived there", "right")


def test_without_what_was_before_a_cause_is_unknown_and_the_run_goes_on(yesterday, quiet_customer):
    for kept in (yesterday.state / "before").iterdir():
        kept.unlink()
    say(at(yesterday, 4), "crm", quiet_customer, country="AT")
    assert yesterday.reconcile().code == 0
    assert judged(yesterday, quiet_customer) == ("unknown", "unknown", None)


def test_a_side_with_other_columns_than_before_is_not_judged_by_it(yesterday, project, quiet_customers):
    moved, gone, *_ = quiet_customers
    rewrite(yesterday.billing / "customers.csv", lambda row: None if row["customer_number"] == gone else row)
    say(yesterday, "crm", moved, country="AT")
    world = World(at(yesterday, 4).folder, project)
    for side in ("crm", "billing"):
        model = project / f"models/staging/conformed/customers_in_{side}.sql"
        head, select, last = model.read_text().rpartition("    customer_number,\n")
        model.write_text(f"{head}{select}    'new' as segment,\n{last}")
    ran = world.reconcile()
    assert ran.code == 0, ran.err
    assert judged(world, moved) == ("unknown", "unknown", None)
    assert judged(world, gone, "") == ("unknown", "unknown", None)


def test_an_edited_map_is_nobodys_move(yesterday, project):
    statuses = project / "seeds/status_map.csv"
    statuses.write_text(statuses.read_text().replace("subscriptions,active,active", "subscriptions,active,paused"))
    world = World(at(yesterday, 4).folder, project)
    world.reconcile()
    found = world.query("select distinct cause, stale_side from marts.discrepancies where field = 'status' and opened_in_run = run_id")
    assert found == [("unknown", "unknown")]


def test_where_a_disk_knows_no_second_names_the_snapshot_is_copied(tmp_path, monkeypatch):
    (tmp_path / "snapshot").write_text("whole")

    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(os, "link", refuse)
    run.link(tmp_path / "snapshot", tmp_path / "kept")
    assert (tmp_path / "kept").read_text() == "whole"
