"""The early warning over nights of small worlds: what is counted is what the history says, a planted wave is told the morning after
with its slice first, and a night that was not trusted counts for nothing."""

import random
import statistics
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from conftest import house
from engine import Engine
from rich.console import Console

from pipelines import show

FIRST_NIGHT = datetime(2026, 3, 2, 3, tzinfo=UTC)
DAY = timedelta(days=1)
COUNTRIES, PLANS, CURRENCIES = ["NL", "DE", "FR", "AT"], ["team", "basic", "pro"], ["EUR", "EUR", "USD"]


def at(night: int) -> datetime:
    return FIRST_NIGHT + night * DAY


def hours_before(night: int, hours: float) -> str:
    return f"{at(night) - timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}"


def varied(records: int) -> dict:
    """Both systems agree; records differ in country, plan, currency and the week they were made."""
    tables = house(range(records))
    for number in range(records):
        created = f"{datetime(2025, 1, 1, tzinfo=UTC) + timedelta(weeks=number % 20):%Y-%m-%dT00:00:00Z}"
        for rows in (tables["crm"]["customers"], tables["billing"]["customers"]):
            rows[number] |= {"country": COUNTRIES[number % 4], "created_at": created}
        for rows in (tables["crm"]["deals"], tables["billing"]["subscriptions"]):
            rows[number] |= {"plan": PLANS[number % 3], "currency": CURRENCIES[number % 5 % 3], "updated_at": created}
        tables["crm"]["deals"][number]["created_at"] = created
    return tables


class World:
    """Two systems whose sync loses something now and then. Keys of what is out of step are kept, so that it can arrive later."""

    def __init__(self, seed: str, records: int = 160) -> None:
        self.chance, self.right = random.Random(seed), varied(records)
        self.left = deepcopy(self.right)
        self.next_number = records

    def lose(self, night: int, what: str, number: int) -> None:
        """A change on one side that does not arrive on the other."""
        deal, customer = self.left["crm"]["deals"][number], self.left["crm"]["customers"][number]
        when = {"updated_at": hours_before(night, 5)}
        if what == "amount":
            deal |= {"amount": f"{self.chance.randrange(11, 99)}.00"} | when
        elif what == "email":
            customer |= {"email": f"{self.chance.random()}@example.org"} | when
        elif what == "interval":
            deal |= {"interval": "year"} | when

    def make(self, night: int, country: str) -> None:
        """A customer in the CRM that never arrives in billing."""
        key, when = f"C-{self.next_number:04}", hours_before(night, 5)
        made = {
            "customer_number": key,
            "email": f"{key}@example.org",
            "country": country,
            "status": "active",
            "company": key,
            "owner": "Ana",
        }
        self.left["crm"]["customers"].append(made | {"created_at": when, "updated_at": when})
        self.next_number += 1

    def arrive(self) -> None:
        """Something that was out of step agrees again."""
        for table in ("customers", "deals"):
            rows, agreed = self.left["crm"][table], self.right["crm"][table]
            apart = [number for number, row in enumerate(agreed) if rows[number] != row]
            if apart:
                number = self.chance.choice(apart)
                rows[number] = dict(agreed[number])

    def go_on(self, night: int) -> None:
        """A usual day: little is lost, some arrives."""
        for what in ("amount", "email", "interval"):
            for _ in range(self.chance.choice([0, 0, 1, 1, 2])):
                self.lose(night, what, self.chance.randrange(len(self.right["crm"]["deals"])))
        for _ in range(self.chance.choice([0, 0, 1])):
            self.make(night, self.chance.choice(COUNTRIES))
        for _ in range(self.chance.choice([1, 1, 2])):
            self.arrive()

    def tables(self) -> dict:
        return deepcopy({"crm": self.left["crm"], "billing": self.right["billing"]})


SEEDS = pytest.mark.parametrize("seed", ["a", *(pytest.param(seed, marks=pytest.mark.sweep) for seed in "bcde")])
UNFINISHED = {("crm", "customers"): {"end_seen": False}, ("crm", "deals"): {"end_seen": False}}
COUNTED = [
    "opened", "reopened", "listed", "resolved", "still_open", "in_flight", "quarantined", "median_age_hours", "oldest_age_hours",
    "older_than_a_day", "older_than_a_week", "older_than_a_month", "value_at_risk", "currency",
]  # fmt: skip


LISTED = ("open", "quarantined")


def counted(history: list[dict], listed_before: dict[str, bool], as_of: datetime) -> dict[tuple, dict]:
    """drift_daily of one run in plain Python. `listed_before`: of each difference that was there, whether it had been listed."""
    kinds = {}
    for kind in {(row["reconciliation"], row["bucket"], row["field"]) for row in history}:
        rows = [row for row in history if (row["reconciliation"], row["bucket"], row["field"]) == kind]
        is_open = [row for row in rows if row["status"] == "open"]
        ages = [round((as_of - row["first_seen_at"]).total_seconds() / 3600, 2) for row in is_open]
        worth = [(row["currency"], row["value_at_risk"]) for row in is_open if row["value_at_risk"] is not None]
        currencies = {currency for currency, _ in worth}
        kinds[kind] = {
            "opened": sum(row["opened_at"] == as_of for row in rows),
            "reopened": sum(row["opened_at"] == as_of and row["times_reopened"] > 0 for row in rows),
            "listed": sum(row["status"] in LISTED and not listed_before.get(row["discrepancy_id"], False) for row in rows),
            "resolved": sum(row["resolved_at"] == as_of for row in rows),
            "still_open": len(is_open),
            "in_flight": sum(row["status"] == "in_flight" for row in rows),
            "quarantined": sum(row["status"] == "quarantined" for row in rows),
            "median_age_hours": statistics.median(ages) if ages else None,
            "oldest_age_hours": max(ages, default=None),
            "older_than_a_day": sum(age > 24 for age in ages),
            "older_than_a_week": sum(age > 168 for age in ages),
            "older_than_a_month": sum(age > 720 for age in ages),
            "value_at_risk": sum(value for _, value in worth) if len(currencies) == 1 else None,
            "currency": None if not worth else next(iter(currencies)) if len(currencies) == 1 else "several",
        }
    return kinds


def drift(engine: Engine, run_id: str) -> dict[tuple, dict]:
    rows = engine.rows("from warehouse.marts.drift_daily where run_id = ?", run_id)
    return {(row["reconciliation"], row["bucket"], row["field"]): row for row in rows}


@SEEDS
def test_every_night_counts_what_the_history_says_and_nothing_gets_lost(seed):
    world, stock, listed = World(seed), {}, {}
    jumps = {5: 9, 8: 40, 9: 6}  # a week and more without a run: differences grow old
    with Engine() as engine:
        night = 0
        for turn in range(11):
            night += jumps.get(turn, 1)
            world.go_on(night)
            is_whole = turn != 6
            engine.night(at(night), evidence={} if is_whole else UNFINISHED, **world.tables())
            assert bool(engine.refusals()) != is_whole
            run_id = engine.rows("from snapshot.trust.this_run")[0]["run_id"]
            found = drift(engine, run_id)
            if not is_whole:
                assert found == {}, "an untrusted night has no rows"
                continue
            history = engine.rows("from warehouse.marts.discrepancy_history")
            expected = counted(history, listed, at(night))
            assert {kind: {name: row[name] for name in COUNTED} for kind, row in found.items()} == expected
            for kind, row in found.items():
                now = row["still_open"] + row["in_flight"] + row["quarantined"]
                assert now == stock.get(kind, 0) + row["opened"] - row["resolved"], kind
                stock[kind] = now
            whole = {row["reconciliation"]: row for row in engine.rows("from warehouse.marts.runs where run_id = ?", run_id)}
            for pair, run in whole.items():
                assert run["listed"] == sum(row["listed"] for kind, row in found.items() if kind[0] == pair)
            listed = {
                row["discrepancy_id"]: row["resolved_at"] is None and (row["status"] in LISTED or listed.get(row["discrepancy_id"], False))
                for row in history
            }
        assert any(row["older_than_a_month"] for row in found.values()), "old enough to tell"
        assert {row["currency"] for row in found.values()} >= {"several", None}
        assert len(engine.rows("select distinct run_id from warehouse.marts.drift_daily")) == 10


def run(engine: Engine, night: int, world: World) -> None:
    """A trusted night. It declares its totals, for sooner or later the customers are as many as a page might hold."""
    tables = world.tables()
    evidence = {(system, table): {"declared_total": len(rows)} for system, each in tables.items() for table, rows in each.items()}
    engine.night(at(night), evidence=evidence, **tables)
    assert engine.refusals() == []


def usual_nights(engine: Engine, world: World, nights: int) -> None:
    for night in range(nights):
        world.go_on(night)
        run(engine, night, world)


def plant(world: World, kind: str, night: int) -> None:
    """Twelve or thirteen records of one slice that the sync loses in one night."""
    numbers = range(len(world.right["crm"]["deals"]))
    if kind == "made in Austria":
        for _ in range(13):
            world.make(night, "AT")
        return
    in_slice = {
        "amounts of plan pro": [number for number in numbers if PLANS[number % 3] == "pro"],
        "e-mails of one week": [number for number in numbers if number % 20 == 7],
    }[kind]
    what = "amount" if kind.startswith("amounts") else "email"
    for number in world.chance.sample(in_slice, min(13, len(in_slice))):
        world.lose(night, what, number)


WAVES = {
    "made in Austria": ("customers", "left_only", "", "country", "AT"),
    "amounts of plan pro": ("contracts", "conflict", "amount", "plan", "pro"),
    "e-mails of one week": ("customers", "conflict", "email", "creation week", "2025-02-17"),
}


@SEEDS
@pytest.mark.parametrize("kind", WAVES)
def test_a_planted_wave_is_told_the_night_after_with_its_slice_first(kind, seed):
    pair, bucket, field, slice_, value = WAVES[kind]
    world = World(f"{kind} {seed}", records=240)
    with Engine() as engine:
        usual_nights(engine, world, 9)
        for night in (9, 10):
            world.go_on(night)
            plant(world, kind, night)
            run(engine, night, world)
            if night == 9:
                assert not engine.rows("from warehouse.marts.runs where has_wave"), "what is in flight is no news yet"
        waves = {
            (row["reconciliation"], row["bucket"], row["field"]) for row in engine.rows("from warehouse.marts.drift_daily where is_wave")
        }
        assert waves == {(pair, bucket, field)}
        told = engine.rows("from warehouse.marts.runs where has_wave")
        assert [(row["reconciliation"], row["as_of"]) for row in told] == [(pair, at(10))]
        (first,) = engine.rows(
            "from warehouse.marts.drift_slices where run_id = ? and reconciliation = ? and rank = 1", told[0]["run_id"], pair
        )
        assert (first["slice"], first["value"], first["is_over_represented"]) == (slice_, value, True)
        assert first["support"] >= 8


@pytest.mark.sweep
def test_200_quiet_nights_of_a_small_world_have_at_most_two_false_waves():
    world = World("quiet", records=240)
    with Engine() as engine:
        usual_nights(engine, world, 200)
        assert len(engine.rows("from warehouse.marts.runs where has_wave")) <= 2


def test_an_untrusted_night_is_no_history():
    """The flood on the untrusted night is neither listed then nor part of what the next is measured by."""
    world = World("untrusted")
    with Engine() as engine:
        usual_nights(engine, world, 5)
        before = engine.rows("from warehouse.marts.drift_daily order by all")
        for number in range(60):
            world.lose(3, "interval", number)
        engine.night(at(5), evidence=UNFINISHED, **world.tables())
        assert engine.rows("from warehouse.marts.drift_daily order by all") == before
        untrusted = engine.rows("from warehouse.marts.runs where run_seq = 6")
        assert {(row["listed"], row["expected_listed"], row["has_wave"]) for row in untrusted} == {(None, None, None)}
        engine.night(at(6), **world.tables())
        run = engine.rows("from warehouse.marts.runs where run_seq = 7 and reconciliation = 'contracts'")[0]
        assert run["has_wave"] is True and run["listed"] >= 60
        usual = engine.rows("from warehouse.marts.runs where run_seq between 2 and 5 and reconciliation = 'contracts'")
        assert run["expected_listed"] == pytest.approx((sum(row["listed"] for row in usual) + 0.5) / 4 * 2, abs=1e-5)


def test_the_same_run_again_changes_nothing():
    world = World("again")
    tables = ("drift_daily", "drift_slices", "sync_lag", "values_at_risk")
    with Engine() as engine:
        usual_nights(engine, world, 5)
        plant(world, "amounts of plan pro", 3)
        engine.night(at(5), **world.tables())
        assert engine.rows("from warehouse.marts.runs where has_wave")
        once = [engine.rows(f"from warehouse.marts.{table} order by all") for table in tables]
        engine.night(at(5), **world.tables())
        assert [engine.rows(f"from warehouse.marts.{table} order by all") for table in tables] == once


def test_all_records_in_scope_are_what_a_slice_is_held_against():
    """The left's, and those that count on the right alone; nobody's who has ended on both sides."""
    world = World("population", records=60)
    tables = world.tables()
    for rows, ended in ((tables["crm"]["deals"][:5], {"stage": "lost"}), (tables["billing"]["subscriptions"][:3], {"status": "canceled"})):
        for row in rows:
            row |= ended
    tables["crm"]["deals"] = tables["crm"]["deals"][:-4]
    with Engine() as engine:
        engine.night(at(0), **tables)
        assert engine.refusals() == []
        found = engine.rows("from snapshot.judge.slice_populations where reconciliation = 'contracts' and slice = 'plan'")
        in_scope = range(3, 60)
        assert {row["value"]: row["records"] for row in found} == {
            plan: sum(PLANS[number % 3] == plan for number in in_scope) for plan in PLANS
        }


class Published:
    """The engine's tables under the names they have in the published file."""

    def __init__(self, engine: Engine) -> None:
        self.connection = engine.connection.cursor()
        self.connection.execute("use warehouse")

    def execute(self, query: str, values: object = None) -> object:
        return self.connection.execute("select 'warehouse.duckdb'" if "duckdb_databases" in query else query, values)


def printed(engine: Engine) -> str:
    console = Console(width=200, force_terminal=False)
    with console.capture() as capture:
        show.summary(Published(engine), console)
    return capture.get()


def test_a_person_sees_the_wave_in_three_lines_and_nothing_without_one():
    world = World("seen")
    with Engine() as engine:
        usual_nights(engine, world, 2)
        assert "waves were not judged, there are too few runs to judge by: customers, contracts" in printed(engine)
        world.go_on(2)
        engine.night(at(2), **world.tables())
        quiet = printed(engine)
        assert "WAVE" not in quiet and "over-represented" not in quiet and "not judged" not in quiet
        world.go_on(3)
        plant(world, "amounts of plan pro", 2)
        plant(world, "amounts of plan pro", 2)
        engine.night(at(3), **world.tables())
        lines = printed(engine).splitlines()
        (place,) = [place for place, line in enumerate(lines) if line.startswith("WAVE in contracts, amount differs: ")]
        assert " expected" in lines[place]
        assert lines[place + 1].startswith("  over-represented: plan = pro, ") and "times its share" in lines[place + 1]
        assert "docs/waves.md" in lines[place + 2] and lines[place + 3] == ""
        assert "caused" not in "\n".join(lines)


def test_a_difference_is_listed_once_in_the_run_in_which_it_outlived_the_lag():
    tables = varied(60)
    with Engine() as engine:
        engine.night(at(0), **deepcopy(tables))
        late = deepcopy(tables)
        late["crm"]["customers"][7] |= {"country": "BE", "updated_at": hours_before(1, 5)}
        told = []
        for night, exports in ((1, late), (2, late), (3, late), (4, tables), (5, late), (6, late)):
            engine.night(at(night), **deepcopy(exports))
            (row,) = engine.rows("from warehouse.marts.discrepancies") or [{"listed_at": None, "status": "resolved"}]
            told.append((row["status"], row["listed_at"]))
        assert told == [
            ("in_flight", None), ("open", at(2)), ("open", at(2)), ("resolved", None), ("open", at(5)), ("open", at(5)),
        ]  # fmt: skip


def test_money_stands_in_its_own_currency():
    tables = varied(60)
    for number in (0, 1, 2, 3):  # EUR, EUR, USD, EUR
        tables["crm"]["deals"][number]["interval"] = "year"
    tables["crm"]["deals"][0]["plan"] = "other"
    with Engine() as engine:
        engine.night(at(0), **tables)
        rows = engine.rows(
            "select status, currency, records, differences, value_at_risk from warehouse.marts.values_at_risk where currency is not null"
        )
        assert sorted(tuple(row.values()) for row in rows) == [
            ("open", "EUR", 3, 3, Decimal(30)), ("open", "USD", 1, 1, Decimal(10)), ("quarantined", "EUR", 1, 1, Decimal(10)),
        ]  # fmt: skip
        kinds = {row["field"]: (row["value_at_risk"], row["currency"]) for row in engine.rows("from warehouse.marts.drift_daily")}
        assert kinds["interval"] == (None, "several")
        assert kinds["plan"] == (None, None), "what is set apart is not among the open"
