"""Every trust check, shown to fail past its limit and to pass at it; and a gate that is missing or soft is no gate."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from types import SimpleNamespace

import pytest
from conftest import World, house
from engine import Engine, project

from pipelines import build, run
from pipelines.failures import NotTrustworthy

FIRST, SECOND = "2026-03-03T03:00:00Z", "2026-03-04T03:00:00Z"
RECORDS = 120  # no page size, and a round number in every share below
CUSTOMERS, DEALS = ("crm", "customers"), ("crm", "deals")
SIDES = {("crm", "left"), ("billing", "right")}

Change = Callable[[dict], dict | None]


def whole() -> dict:
    return house(range(RECORDS))


def of(records: int) -> Change:
    """Another number of records in every table."""
    return lambda tables: house(range(records))


def crm_of(records: int) -> Change:
    return lambda tables: tables | {"crm": house(range(records))["crm"]}


def blank(column: str, count: int) -> Change:
    """`count` of the CRM's customers lose a value."""

    def change(tables):
        for row in tables["crm"]["customers"][:count]:
            row[column] = None

    return change


def deactivate(count: int) -> Change:
    """`count` customers leave both systems, with their rows kept."""

    def change(tables):
        for rows, column, word in (
            (tables["crm"]["customers"], "status", "churned"),
            (tables["crm"]["deals"], "stage", "terminated"),
            (tables["billing"]["subscriptions"], "status", "canceled"),
        ):
            for row in rows[:count]:
                row[column] = word

    return change


def without_ended_in_crm(count: int) -> Change:
    """As many have ended in both systems, and the CRM's export leaves them out."""

    def change(tables):
        deactivate(count)(tables)
        for table, column in (("customers", "status"), ("deals", "stage")):
            tables["crm"][table] = [row for row in tables["crm"][table] if row[column] not in ("churned", "terminated")]

    return change


def differ(count: int) -> Change:
    def change(tables):
        for row in tables["crm"]["customers"][:count]:
            row["country"] = "BE"

    return change


def rekey(count: int) -> Change:
    """As many customers get another key in both systems."""

    def change(tables):
        for rows in (tables["crm"]["customers"], tables["crm"]["deals"], *tables["billing"].values()):
            for row in rows[:count]:
                row["customer_number"] = f"N-{row['customer_number']}"

    return change


def evidence(table: tuple[str, str] = CUSTOMERS, **columns) -> dict:
    return {"evidence": {table: columns}}


ALL_SIDES = {(pair, side) for pair in ("customers", "contracts") for side in ("left", "right")}
BOTH = {("customers", "both"), ("contracts", "both")}
CUSTOMERS_LEFT = {("customers", "left")}

FAILING = {
    "both_sides_pulled": (None, {"skip": [("billing", "subscriptions")]}, {("customers", "right"), ("contracts", "right")}),
    "pull_finished": (None, evidence(end_seen=False, end_evidence="part 2 of customers is missing"), CUSTOMERS_LEFT),
    "declared_total_matches": (None, evidence(declared_total=RECORDS + 1), CUSTOMERS_LEFT),
    "landed_equals_fetched": (None, evidence(landed=RECORDS - 1), CUSTOMERS_LEFT),
    "no_record_came_twice": (None, evidence(distinct_ids=RECORDS - 1), CUSTOMERS_LEFT),
    "not_empty": (of(0), {}, ALL_SIDES),
    "no_implausible_drop": (of(95), {}, ALL_SIDES),
    "no_implausible_jump": (of(181), {}, ALL_SIDES),
    "sides_are_plausible": (crm_of(59), {}, BOTH),
    "not_page_shaped": (of(100), {}, ALL_SIDES),
    "ended_records_are_there": (without_ended_in_crm(20), {}, {("customers", "left"), ("contracts", "left")}),
    "at_most_a_tenth_unreconcilable": (blank("customer_number", 13), {}, CUSTOMERS_LEFT),
    "pulled_close_together": (None, evidence(exported_at="2026-03-04T04:01:00Z"), {("customers", "both")}),
    "no_column_went_silent": (blank("email", 25), {}, CUSTOMERS_LEFT),
    "active_share_is_stable": (deactivate(25), {}, ALL_SIDES),
    "not_hopelessly_different": (differ(60), {}, {("customers", "both")}),  # and the one that was there
    "every_record_is_counted": (None, evidence(fetched=RECORDS + 1, landed=RECORDS + 1), CUSTOMERS_LEFT),
    "not_older_than_last_run": (None, {"as_of": "2026-03-03T02:59:59Z"}, BOTH),
    "clock_is_not_ahead": (None, {"started_at": "2026-03-03T02:59:00Z"}, BOTH),
    "every_gate_is_in_force": (None, {"gates": {"not_empty": False}}, BOTH),
}

PASSING = {
    "declared_total_matches": (None, evidence(declared_total=RECORDS)),
    "no_record_came_twice": (None, evidence(distinct_ids=RECORDS)),
    "no_implausible_drop": (of(96), {}),
    "no_implausible_jump": (of(180), {}),
    "not_page_shaped": (of(100), {"evidence": {table: {"declared_total": 100} for table in project().systems}}),
    "ended_records_are_there": (deactivate(20), {}),
    "at_most_a_tenth_unreconcilable": (blank("customer_number", 12), {}),
    "pulled_close_together": (None, evidence(exported_at="2026-03-04T04:00:00Z")),
    "no_column_went_silent": (blank("email", 24), {}),
    "active_share_is_stable": (deactivate(23), {}),
    "not_hopelessly_different": (differ(59), {}),
    "not_older_than_last_run": (None, {"as_of": FIRST}),
    "clock_is_not_ahead": (None, {"started_at": "2026-03-03T03:00:00Z"}),
}


@pytest.fixture(scope="module")
def one_trusted_night() -> Iterator[tuple[Engine, dict, list[dict]]]:
    """A night with one difference, its exports and its ledger. Nights after it are not published, so that it stays the last."""
    with Engine() as engine:
        tables = whole()
        tables["crm"]["customers"][-1]["status"] = "churned"
        engine.night(FIRST, **tables)
        assert engine.refusals() == []
        yield engine, tables, engine.rows("from warehouse.marts.discrepancy_history order by all")


def play(one_trusted_night, change: Change | None, night: dict) -> Engine:
    engine, tables, _ = one_trusted_night
    changed = deepcopy(tables)
    changed = (change(changed) if change else None) or changed
    engine.night(**({"as_of": SECOND, "publish": False} | night), **changed)
    return engine


def failed(engine: Engine, check: str) -> set[tuple[str, str]]:
    rows = engine.rows("select reconciliation, side from snapshot.trust.checks where check_name = ? and not passed", check)
    return {(row["reconciliation"], row["side"]) for row in rows}


def verdicts(engine: Engine) -> dict[str, str]:
    return {row["reconciliation"]: row["verdict"] for row in engine.rows("from snapshot.trust.verdicts")}


def test_every_check_has_a_gate_and_a_scenario_here():
    with Engine() as engine:
        engine.night(FIRST, **whole())
        assert engine.refusals() == []
        reported = {row["check_name"] for row in engine.rows("from warehouse.marts.trust_checks")}
        assert set(verdicts(engine).values()) == {"trusted"}
    assert reported == set(project().gates) == {*FAILING, "no_slow_erosion", "known_records_are_still_there"}
    assert len(reported) == 22


@pytest.mark.parametrize("check", FAILING)
def test_past_its_limit_the_check_fails_and_its_pair_is_not_trusted(one_trusted_night, check):
    change, night, expected = FAILING[check]
    engine = play(one_trusted_night, change, night)
    assert failed(engine, check) == expected
    pairs = {pair for pair, _ in expected}
    assert {pair for pair, verdict in verdicts(engine).items() if verdict == "not trustworthy"} >= pairs
    before, now = one_trusted_night[2], engine.rows("from warehouse.marts.discrepancy_history order by all")
    assert [row for row in now if row["reconciliation"] in pairs] == [row for row in before if row["reconciliation"] in pairs]
    assert engine.rows("from snapshot.trust.checks where explanation is null") == []
    told = engine.rows("from snapshot.trust.checks where check_name = ? and not passed", check)
    assert len(told) == len(expected) and all(row["explanation"] for row in told)


@pytest.mark.parametrize("check", PASSING)
def test_at_its_limit_the_check_passes(one_trusted_night, check):
    engine = play(one_trusted_night, *PASSING[check])
    assert failed(engine, check) == set()
    assert verdicts(engine) == {"customers": "trusted", "contracts": "trusted"}, engine.refusals()


def test_sides_are_plausible_down_to_half():
    with Engine() as engine:
        engine.night(FIRST, **(whole() | {"crm": house(range(60))["crm"]}))
        assert failed(engine, "sides_are_plausible") == set()


@pytest.mark.parametrize(("third_night", "expected"), [(84, set()), (83, ALL_SIDES)])
def test_slow_erosion_is_held_against_the_high_water_mark(third_night, expected):
    with Engine() as engine:
        for day, records in enumerate((120, 100, third_night), 3):
            declared = {table: {"declared_total": records} for table in project().systems}
            engine.night(f"2026-03-{day:02}T03:00:00Z", evidence=declared, **house(range(records)))
            assert failed(engine, "no_implausible_drop") == set()
        assert failed(engine, "no_slow_erosion") == expected


@pytest.mark.parametrize(("conflicts", "gone", "expected"), [(40, 21, {("customers", "both")}), (40, 20, set()), (19, 19, set())])
def test_known_records_are_still_there_down_to_half(conflicts, gone, expected):
    nights = []
    for change in (lambda tables: None, rekey(gone)):
        nights.append(whole())
        differ(conflicts)(nights[-1])
        change(nights[-1])
    with Engine() as engine:
        engine.night(FIRST, **nights[0])
        before = engine.rows("from warehouse.marts.discrepancy_history order by all")
        assert (len(before), engine.refusals()) == (conflicts, [])
        engine.night(SECOND, publish=False, **nights[1])
        assert failed(engine, "known_records_are_still_there") == expected
        assert verdicts(engine) == {"contracts": "trusted", "customers": "not trustworthy" if expected else "trusted"}
        if expected:
            assert engine.rows("from warehouse.marts.discrepancy_history order by all") == before


def test_a_ratio_of_a_handful_means_nothing():
    with Engine() as engine:
        engine.night(FIRST, **house(range(19)))
        engine.night(SECOND, **house(range(5)))
        assert engine.refusals() == []


@pytest.mark.parametrize(("apart", "sides"), [(True, set()), (False, ALL_SIDES)], ids=["apart", "with the list"])
def test_a_total_excuses_a_round_thousand_only_where_it_is_counted_apart(apart, sides):
    """Where a list stops at a thousand, so does the total that comes with it."""
    told = {"declared_total": 1000, "is_counted_apart": apart}
    with Engine() as engine:
        engine.night(FIRST, evidence=dict.fromkeys(project().systems, told), **house(range(1000)))
        assert failed(engine, "not_page_shaped") == sides


@pytest.mark.parametrize(
    "gates",
    [
        pytest.param({"not_empty": False}, id="one only warns"),
        pytest.param({"not_empty": None}, id="one is missing"),
        pytest.param({"every_gate_is_in_force": None}, id="the gate of gates is missing"),
        pytest.param(dict.fromkeys(project().gates), id="all are missing"),
        pytest.param({"a_check_that_never_reports": True}, id="one without its check"),
    ],
)
def test_without_every_gate_no_pair_is_trusted(gates):
    with Engine() as engine:
        engine.night(FIRST, gates=gates, **whole())
        assert verdicts(engine) == {"customers": "not trustworthy", "contracts": "not trustworthy"}
        assert engine.rows("from warehouse.marts.discrepancies") == []


@pytest.mark.parametrize(
    "softened",
    [{}, {"severity": "WARN"}, {"enabled": False}, {"where": "1 = 0"}, {"limit": 0}, {"error_if": "> 5"}, {"fail_calc": "0"}],
    ids=str,
)
def test_a_softened_gate_is_seen(softened):
    config = {"severity": "ERROR", "warn_if": "!= 0", "error_if": "!= 0", "enabled": True, "limit": None, "where": None}
    config |= {"fail_calc": "count(*)"} | softened
    metadata = SimpleNamespace(name="trust_check_passes", kwargs={"check_name": "not_empty"})
    node = SimpleNamespace(test_metadata=metadata, config=SimpleNamespace(**config))
    manifest = SimpleNamespace(nodes={"test": node})
    assert [gate["is_in_force"] for gate in build.gates(manifest) if gate["check_name"] == "not_empty"] == [not softened]


@pytest.mark.parametrize("status", ["skipped", "error", "warn", None])
def test_a_gate_that_was_not_reached_publishes_nothing(status):
    gates = [{"check_name": name, "is_in_force": True} for name in ("not_empty", "pull_finished")]
    results = [{"gate": "not_empty", "status": "fail", "name": "a"}]
    if status:
        results.append({"gate": "pull_finished", "status": status, "name": "b"})
    with pytest.raises(NotTrustworthy, match=r"The gate pull_finished did not report\. Nothing was published") as refused:
        run.refuse_silent_gates(results, gates)
    assert refused.value.exit_code == 4


@pytest.mark.parametrize("fault", ["only warns", pytest.param("is deleted", marks=pytest.mark.sweep)])
def test_the_command_trusts_nothing_where_a_gate(yesterday: World, project, fault):
    yesterday.project = project
    yesterday.use_night(2)
    before = yesterday.differences()
    yaml = yesterday.project / "models/marts/_marts__models.yml"
    gate = next(line for line in yaml.read_text().splitlines() if "assert_no_side_lost_a_fifth_of_its_records" in line)
    softened = {
        "only warns": gate.replace("arguments:", "config: {severity: warn}, arguments:"),
        "is deleted": "",
    }
    yaml.write_text(yaml.read_text().replace(gate, softened[fault]))
    ran = yesterday.reconcile()
    assert ran.code == 4
    assert yesterday.verdicts() == {"customers": "not trustworthy", "contracts": "not trustworthy"}
    assert ("customers", "both", "every_gate_is_in_force") in yesterday.failed_checks()
    assert "no_implausible_drop" in ran.out
    assert yesterday.differences() == before
