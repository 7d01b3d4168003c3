"""Nights on end: what half a pull, a slow leak, a wrong clock and a missed night do to the list. Seconds, not runs: no dbt here."""

from copy import deepcopy

import pytest
from conftest import house
from engine import Engine, project

RECORDS = 120
UNTRUSTED = {"customers": "not trustworthy", "contracts": "not trustworthy"}
TRUSTED = {"customers": "trusted", "contracts": "trusted"}
CHURNED = "C-0007"


def at(day: int, hour: int = 3) -> str:
    return f"2026-03-{day:02}T{hour:02}:00:00Z"


def exports(records: int = RECORDS) -> dict:
    """Both systems, with one open difference: a customer that churned in the CRM alone."""
    tables = house(range(records))
    for row in tables["crm"]["customers"][7:8]:
        row["status"] = "churned"
    return tables


def verdicts(engine: Engine) -> dict[str, str]:
    return {row["reconciliation"]: row["verdict"] for row in engine.rows("from snapshot.trust.verdicts")}


def failing(engine: Engine) -> set[str]:
    return {row["check_name"] for row in engine.rows("from snapshot.trust.checks where not passed")}


def news(engine: Engine) -> list[list[dict]]:
    """Everything that an untrusted run must leave as it was."""
    return [
        engine.rows(f"from warehouse.{table} order by all")
        for table in ("marts.discrepancies", "marts.discrepancy_history", "marts.unreconcilable")
    ]


@pytest.fixture
def engine():
    with Engine() as engine:
        engine.night(at(3), **exports())
        assert verdicts(engine) == TRUSTED
        assert [row["record_key"] for row in engine.rows("from warehouse.marts.discrepancies")] == [CHURNED]
        yield engine


def one_side(records: int) -> dict:
    return exports() | {"billing": exports(records)["billing"]}


def deactivated() -> dict:
    tables = exports()
    for table, column, word in (("customers", "status", "churned"), ("deals", "stage", "lost")):
        for row in tables["crm"][table][:60]:
            row[column] = word
    for row in tables["billing"]["subscriptions"][:60]:
        row["status"] = "canceled"
    return tables


def silent(system: str, table: str, column: str) -> dict:
    tables = exports()
    for row in tables[system][table]:
        row[column] = None
    return tables


def different() -> dict:
    tables = exports()
    for row in tables["crm"]["customers"][:108]:
        row["country"] = "BE"
    for row in tables["crm"]["deals"][:108]:
        row["plan"] = "starter"
    return tables


@pytest.mark.parametrize(
    ("tables", "check"),
    [
        pytest.param(one_side(94), "no_implausible_drop", id="78 % on one side"),
        pytest.param(exports(94), "no_implausible_drop", id="78 % on both sides"),
        pytest.param(exports(60), "no_implausible_drop", id="both sides halved"),
        pytest.param(exports(0), "not_empty", id="both empty"),
        pytest.param(one_side(0), "not_empty", id="one empty"),
        pytest.param(exports(240), "no_implausible_jump", id="twice as many"),
        pytest.param(deactivated(), "active_share_is_stable", id="half deactivated, every row kept"),
        pytest.param(silent("crm", "customers", "email"), "no_column_went_silent", id="e-mails gone in the CRM"),
        pytest.param(silent("billing", "customers", "country"), "no_column_went_silent", id="countries gone in billing"),
        pytest.param(different(), "not_hopelessly_different", id="90 % differ"),
    ],
)
def test_a_bad_night_is_refused_as_often_as_it_comes_and_leaves_no_trace(engine, tables, check):
    before = news(engine)
    for day in (4, 5):
        engine.night(at(day), **deepcopy(tables))
        assert check in failing(engine)
        assert "not trustworthy" in verdicts(engine).values()
    for now_rows, then_rows in zip(news(engine), before, strict=True):
        refused = {pair for pair, verdict in verdicts(engine).items() if verdict != "trusted"}
        assert [r for r in now_rows if r["reconciliation"] in refused] == [r for r in then_rows if r["reconciliation"] in refused]
    engine.night(at(6), **exports())
    assert verdicts(engine) == TRUSTED, "the baseline is the last trusted night, not the bad ones"
    (difference,) = engine.rows("from warehouse.marts.discrepancies")
    assert (difference["runs_seen"], difference["times_reopened"], difference["age_hours"]) == (2, 0, 72)


def test_four_fifths_every_night_end_at_the_high_water_mark(engine):
    records, nights = RECORDS, 0
    while verdicts(engine) == TRUSTED:
        nights += 1
        records = -(-records * 81 // 100)
        engine.night(at(3 + nights), **exports(records))
        assert "no_implausible_drop" not in failing(engine)
    assert nights == 2
    assert failing(engine) == {"no_slow_erosion"}
    engine.night(at(6), **exports(records))
    assert failing(engine) == {"no_slow_erosion"}


def accept(engine: Engine, reason: str = "the B brand was sold", observed_plus: float = 0) -> None:
    """What `tallystick accept-counts` appends to the seed."""
    refused = engine.rows(
        "select reconciliation, run_id, side, check_name, observed from snapshot.trust.checks where not passed and can_be_accepted"
    )
    assert refused
    earlier = engine.rows("from snapshot.seeds.accepted_counts")
    by = {"reason": reason, "accepted_by": "Ana", "accepted_at": "2026-03-04T09:00:00Z"}
    rows = [row | by | {"observed": row["observed"] + observed_plus} for row in refused] + earlier
    engine.seed("accepted_counts", [{name: None if value is None else str(value) for name, value in row.items()} for row in rows])


def test_accepted_counts_let_one_run_through_and_no_more(engine):
    engine.night(at(4), **exports(84))
    assert verdicts(engine) == UNTRUSTED
    accept(engine)
    engine.night(at(4), **exports(84))
    assert verdicts(engine) == TRUSTED
    let_through = engine.rows("from warehouse.marts.trust_checks where accepted_by is not null")
    assert {(row["accepted_by"], row["passed"], row["check_name"]) for row in let_through} == {("Ana", True, "no_implausible_drop")}
    assert all("accepted by Ana: the B brand was sold" in row["explanation"] for row in let_through)
    engine.night(at(5), **exports(84))
    assert verdicts(engine) == TRUSTED, "the next night is measured against the new level"
    assert not [row for row in engine.rows("from snapshot.trust.checks") if row["accepted_by"]]
    engine.night(at(6), **exports(60))
    assert verdicts(engine) == UNTRUSTED, "an acceptance is good for one run"


def test_accepted_counts_let_no_other_count_through(engine):
    engine.night(at(4), **exports(84))
    accept(engine)
    engine.night(at(5), **exports(60))
    assert verdicts(engine) == UNTRUSTED


def test_an_accepted_night_does_not_come_back_as_erosion_or_as_acceptance(engine):
    engine.night(at(4), **exports(66))
    accept(engine)
    engine.night(at(5), **exports(66))
    assert verdicts(engine) == TRUSTED
    for day in (6, 7):
        engine.night(at(day), **exports(66))
        assert verdicts(engine) == TRUSTED
    engine.night(at(8), **exports(RECORDS))
    assert verdicts(engine) == UNTRUSTED
    assert "no_implausible_jump" in failing(engine)


def test_an_acceptance_of_another_history_lets_nothing_through(engine):
    """The seed outlives the state folder, and serves every state folder of the checkout."""
    engine.night(at(4), **exports(84))
    accept(engine)
    accepted = engine.rows("from snapshot.seeds.accepted_counts")
    foreign = [row | {"run_id": "000050-0ddba11c"} for row in accepted]
    engine.seed("accepted_counts", [{name: str(value) for name, value in row.items()} for row in foreign])
    for day in (4, 5):
        engine.night(at(day), **exports(84))
        assert verdicts(engine) == UNTRUSTED


def test_evidence_is_never_accepted(engine):
    cut_off = {("crm", "customers"): {"end_seen": False}}
    engine.night(at(4), evidence=cut_off, **exports(84))
    accept(engine)
    forged = engine.rows("select reconciliation, run_id, side, check_name, observed from snapshot.trust.checks where not passed")
    by = {"reason": "x", "accepted_by": "x", "accepted_at": "2026-03-04T09:00:00Z"}
    engine.seed("accepted_counts", [{name: str(value) for name, value in (row | by).items()} for row in forged])
    engine.night(at(4), evidence=cut_off, **exports(84))
    assert verdicts(engine)["customers"] == "not trustworthy"
    assert failing(engine) == {"pull_finished"}


def test_the_same_night_twice_changes_nothing(engine):
    tables = exports()
    tables["crm"]["customers"][9]["country"] = "BE"
    engine.night(at(4), **tables)

    def everything():
        return [
            *news(engine),
            *(engine.rows(f"from warehouse.{name} order by all") for name in ("marts.trust_checks", "trust.side_counts")),
        ]

    once, runs = everything(), engine.rows("select * exclude (seconds) from warehouse.marts.runs order by all")
    for _ in range(2):
        engine.night(at(4), **tables)
        assert everything() == once
        assert engine.rows("select * exclude (seconds) from warehouse.marts.runs order by all") == runs


def test_a_killed_run_and_its_rerun_are_one(engine):
    tables = exports()
    tables["crm"]["customers"][9]["country"] = "BE"
    engine.night(at(4), publish=False, **tables)
    killed = news(engine)
    engine.night(at(4), **tables)
    assert news(engine) == killed


def test_a_clock_set_back_is_refused_and_set_right_goes_on(engine):
    before = news(engine)
    engine.night(at(2), **exports())
    assert verdicts(engine) == UNTRUSTED
    assert failing(engine) == {"not_older_than_last_run"}
    assert news(engine) == before
    engine.night(at(4), **exports())
    assert verdicts(engine) == TRUSTED


def test_a_clock_a_year_ahead_is_refused_and_does_not_bar_the_next_night(engine):
    before = news(engine)
    engine.night("2027-03-04T03:00:00Z", started_at=at(4), **exports())
    assert verdicts(engine) == UNTRUSTED
    assert failing(engine) == {"clock_is_not_ahead"}
    assert news(engine) == before
    engine.night(at(4), **exports())
    assert verdicts(engine) == TRUSTED


def test_missed_nights_age_a_difference_by_the_clock(engine):
    engine.night(at(20), **exports())
    assert verdicts(engine) == TRUSTED
    (difference,) = engine.rows("from warehouse.marts.discrepancies")
    assert (difference["age_hours"], difference["runs_seen"]) == (17 * 24, 2)


def test_after_a_month_away_the_last_trusted_night_is_still_the_baseline(engine):
    engine.night("2026-05-20T03:00:00Z", **exports(60))
    assert verdicts(engine) == UNTRUSTED
    assert "no_implausible_drop" in failing(engine)


def test_a_difference_that_comes_and_goes_has_one_identity(engine):
    agreed = house(range(RECORDS))
    seen = []
    for day in range(4, 9):
        engine.night(at(day), **(exports() if day % 2 else agreed))
        seen.append(engine.rows("from warehouse.marts.discrepancy_history"))
    assert [len(rows) for rows in seen] == [1] * 5
    assert len({rows[0]["discrepancy_id"] for rows in seen}) == 1
    assert [rows[0]["times_reopened"] for rows in seen] == [0, 1, 1, 2, 2]
    assert [rows[0]["resolved_at"] is None for rows in seen] == [False, True, False, True, False]
    last = seen[-1][0]
    assert (last["runs_seen"], last["resolution"]) == (3, "both sides agree")
    assert last["first_seen_at"].day == 3 and last["last_seen_at"].day == 7


def test_one_broken_pair_does_not_silence_the_other(engine):
    tables = exports()
    tables["crm"]["customers"][9]["country"] = "BE"
    tables["crm"]["deals"][11]["plan"] = "starter"
    engine.night(at(4), **tables)
    assert len(engine.rows("from warehouse.marts.discrepancies")) == 3
    contracts = engine.rows("from warehouse.marts.discrepancies where reconciliation = 'contracts'")
    tables["crm"]["deals"] = tables["crm"]["deals"][50:]
    tables["crm"]["customers"][9]["country"] = "NL"
    tables["crm"]["customers"][12]["country"] = "FR"
    engine.night(at(5), **tables)
    assert verdicts(engine) == {"customers": "trusted", "contracts": "not trustworthy"}
    now = {row["record_key"] for row in engine.rows("from warehouse.marts.discrepancies where reconciliation = 'customers'")}
    assert now == {CHURNED, "C-0012"}
    assert engine.rows("from warehouse.marts.discrepancies where reconciliation = 'contracts'") == contracts


def test_a_shared_table_that_breaks_stops_both_its_pairs(engine):
    engine.night(at(4), evidence={("billing", "subscriptions"): {"end_seen": False}}, **exports())
    assert verdicts(engine) == UNTRUSTED


def test_the_first_run_says_that_there_is_no_baseline():
    with Engine() as engine:
        engine.night(at(3), **exports())
        told = {row["check_name"] for row in engine.rows("from warehouse.marts.trust_checks where explanation like '%no baseline yet%'")}
        assert told == {
            "no_implausible_drop", "no_slow_erosion", "no_implausible_jump", "active_share_is_stable", "no_column_went_silent",
            "not_older_than_last_run",
        }  # fmt: skip
        engine.night(at(4), **exports())
        assert not engine.rows("from snapshot.trust.checks where explanation like '%no baseline%'")


def test_an_untrusted_first_run_leaves_no_baseline_behind():
    with Engine() as engine:
        engine.night(at(3), evidence={table: {"end_seen": False} for table in project().systems}, **exports(30))
        assert verdicts(engine) == UNTRUSTED
        assert not any(news(engine))
        engine.night(at(4), **exports())
        assert verdicts(engine) == TRUSTED, "nothing but a trusted run is a baseline"


def test_two_runs_of_one_day_in_another_order_of_rows_are_the_same(engine):
    tables = exports()
    engine.night(at(4), **tables)
    before = news(engine)
    engine.night(at(4), **{system: {name: rows[::-1] for name, rows in of.items()} for system, of in tables.items()})
    changing = {"last_seen_run", "run_id", "runs_seen"}
    assert [[{k: v for k, v in row.items() if k not in changing} for row in rows] for rows in news(engine)] == [
        [{k: v for k, v in row.items() if k not in changing} for row in rows] for rows in before
    ]
