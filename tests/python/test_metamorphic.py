"""What must not matter, and what must matter in exactly one way: no oracle, only runs held against each other."""

import json
import random
from collections import Counter
from collections.abc import Callable, Collection
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import pytest
from engine import Engine, Row, lent, project
from hypothesis import strategies as st
from test_oracle import COUNTS, FIRST_NIGHT, LIFTED, TABLES, World, agreeing, drawn, drawn_worlds, played

Everything = dict[str, Counter[tuple]]  # every table of the published file → its rows, as (column, value) pairs
Change = Callable[[str, list[dict]], list[Row]]  # table, its rows → other rows

NAME_OF_RUN = {"run_id", "fingerprint", "last_seen_run", "opened_in_run", "listed_in_run", "resolved_in_run", "seconds"}
DIFFERENCES = ("discrepancies", "discrepancy_history", "unreconcilable")


def everything(engine: Engine, leave_out: Collection[str] = ()) -> Everything:
    """All that is in the warehouse file. `leave_out` are columns."""
    relations = {model.name: model.relation for model in project().models if model.relation.startswith('"warehouse"')}
    assert set(relations) >= {*DIFFERENCES, "runs", "trust_checks"}
    return {
        name: Counter(
            tuple((column, value) for column, value in row.items() if column not in leave_out) for row in engine.rows(f"from {relation}")
        )
        for name, relation in relations.items()
    }


def unchanged(table: str, rows: list[dict]) -> list[Row]:
    return rows


def run(world: World, change: Change = unchanged) -> Everything:
    """All that the world's nights leave behind, but for the names of the runs."""
    with lent(**LIFTED) as engine:
        for as_of, tables in played(world):
            changed = {system: {table: change(table, rows) for table, rows in each.items()} for system, each in tables.items()}
            engine.night(as_of, evidence=whole(changed), **changed)
            assert not engine.refusals()
        told = everything(engine, NAME_OF_RUN)
    assert told["discrepancy_history"]
    return told


def whole(tables: dict) -> dict:
    """Evidence that a pull was whole, for a number of rows that could be a page's; not of the bytes that it was read from."""
    return {(system, table): {"declared_total": len(tables[system][table]), "digest": "any"} for system, table in TABLES}


def last_counts(told: Everything) -> dict[str, Counter[str]]:
    """The counts of each pair's last run."""
    runs = [dict(row) for row in told["runs"]]
    last = max(row["run_seq"] for row in runs)
    return {row["reconciliation"]: Counter({name: row[name] for name in COUNTS}) for row in runs if row["run_seq"] == last}


@pytest.fixture(scope="module")
def world() -> World:
    (world,) = drawn_worlds(1)
    return world._replace(gaps=[86_400, 86_401], untrusted=None)


@pytest.fixture(scope="module")
def told(world) -> Everything:
    """What it leaves behind as it is."""
    return run(world)


def test_the_order_of_the_rows_changes_nothing(world, told):
    assert run(world, lambda table, rows: random.Random(table).sample(rows, len(rows))) == told


def test_columns_that_are_not_compared_change_nothing(world, told):
    noise = {
        "customers": {"created_at": "yesterday"},
        "deals": {"created_at": "2026-13-01"},
        "subscriptions": {"subscription_id": "'", "canceled_at": "soon"},
    }
    assert run(world, lambda table, rows: [row | noise[table] for row in rows]) == told


def test_the_same_night_twice_changes_nothing(world):
    """Down to the seconds it took, although it is two hours later by the machine's clock."""
    with Engine(**LIFTED) as engine:
        for as_of, tables in played(world):
            engine.night(as_of, evidence=whole(tables), **tables)
            once = everything(engine)
            later = as_of + timedelta(hours=2)
            again = {name: row | {"started_at": later, "finished_at": later} for name, row in whole(tables).items()}
            engine.night(as_of, evidence=again, started_at=later, **tables)
            assert everything(engine) == once


def test_a_killed_night_leaves_no_trace(world, told):
    with Engine(**LIFTED) as engine:
        for as_of, tables in played(world):
            half = {system: {table: rows[::2] for table, rows in each.items()} for system, each in tables.items()}
            engine.night(as_of, publish=False, **half)
            engine.night(as_of, evidence=whole(tables), **tables)
        assert everything(engine, NAME_OF_RUN) == told


def test_a_matched_pair_more_is_one_match_more(world, told):
    more = {table: rows for each in agreeing(9_999).values() for table, rows in each.items() if table != "customers"}
    crm, billing = (agreeing(9_999)[system]["customers"] for system in ("crm", "billing"))

    def with_one_more(table: str, rows: list[dict]) -> list[Row]:
        return rows + (more.get(table) or (crm if "status" in rows[0] else billing))

    after = run(world, with_one_more)
    for pair, counts in last_counts(after).items():
        added = {name: counts[name] - last_counts(told)[pair][name] for name in COUNTS}
        one = {"left_rows", "right_rows", "left_in_scope", "right_in_scope", "matched"}
        assert added == {name: int(name in one) for name in COUNTS}
    assert {name: after[name] for name in DIFFERENCES} == {name: told[name] for name in DIFFERENCES}


def test_records_of_other_keys_change_nothing(world, told):
    """Two halves of a world give, each alone, what the whole gives. (Case 0, which agrees, is in both.)"""
    halves = [run(world._replace(cases={number: case for number, case in world.cases.items() if number % 2 == odd})) for odd in (0, 1)]
    for name in DIFFERENCES:
        assert told[name] == halves[0][name] + halves[1][name]
    for pair, counts in last_counts(told).items():
        parts = [last_counts(half)[pair] for half in halves]
        twice = {"left_rows", "right_rows", "left_in_scope", "right_in_scope", "matched"}
        assert counts == {name: parts[0][name] + parts[1][name] - (name in twice) for name in COUNTS}


class Contract(NamedTuple):
    """A contract before it is a deal or a subscription: what both systems can say."""

    state: str | None
    plan: str | None
    amount: str | None  # a whole number of minor units, or what is no number at all
    currency: str | None
    interval: str | None
    since: str | None
    updated_at: str | None


WORDS = {"deals": {"on": "won", "off": "lost"}, "subscriptions": {"on": "active", "off": "canceled"}}
EXPONENTS = {"EUR": 2, "JPY": 0, "KWD": 3}
contracts = st.builds(
    Contract,
    st.sampled_from(["on", "on", "on", "off", "frozen", None]),
    st.sampled_from(["basic", "pro", " basic", None]),
    st.sampled_from(["10000", "10000", "10001", "10011", "0", "-10000", "NaN", "1,0", None]),
    st.sampled_from(["EUR", "EUR", "JPY", "KWD"]),
    st.sampled_from(["month", "year", None]),
    st.sampled_from(["2024-01-15", "2024-01-15T23:30:00-02:00", "2024-02-30", None]),
    st.sampled_from(["2024-01-15T00:00:00Z", "2026-03-02T03:00:00Z", "2026-03-02T03:00:01Z", None]),
)
# The same on both sides, one field apart, two of their own, or one alone.
facing = st.one_of(
    contracts.map(lambda one: (one, one)),
    st.builds(
        lambda one, other, name: (one, one._replace(**{name: getattr(other, name)})),
        contracts,
        contracts,
        st.sampled_from(Contract._fields),
    ),
    st.tuples(contracts, contracts),
    st.tuples(contracts, st.none()),
    st.tuples(st.none(), contracts),
)


def as_row(table: str, number: int, contract: Contract) -> Row:
    """The contract as that table's system writes it."""
    row = {
        "contract_number": f"K{number}",
        "plan": contract.plan,
        "currency": contract.currency,
        "interval": contract.interval,
        "updated_at": contract.updated_at,
    }
    word = WORDS[table].get(contract.state, contract.state)
    if table == "subscriptions":
        return row | {"status": word, "amount_minor": contract.amount, "started_at": contract.since}
    amount = contract.amount
    if amount and amount.lstrip("-").isdigit():
        amount = f"{Decimal(amount).scaleb(-EXPONENTS[contract.currency]):f}"
    return row | {"stage": word, "amount": amount, "starts_on": contract.since}


def laid_beside(left: list[Contract | None], right: list[Contract | None]) -> tuple[dict, set[tuple]]:
    """Counts of the pair, and its differences without what differs between the systems' ways to write."""
    customer = [{"customer_number": "C1"}]
    deals = [as_row("deals", *numbered) for numbered in enumerate(left) if numbered[1]]
    subscriptions = [as_row("subscriptions", *numbered) for numbered in enumerate(right) if numbered[1]]
    tables = {"crm": {"customers": customer, "deals": deals}, "billing": {"customers": customer, "subscriptions": subscriptions}}
    with Engine(**LIFTED) as engine:
        engine.night(FIRST_NIGHT, evidence=whole(tables), **tables)
        assert not engine.refusals()
        counts = engine.rows(f"select {', '.join(COUNTS)} from warehouse.marts.runs where reconciliation = 'contracts'")[0]
        lines = engine.rows("from warehouse.marts.discrepancy_history where reconciliation = 'contracts'")
    said = {word: state for words in WORDS.values() for state, word in words.items()}
    return counts, {
        (
            line["record_key"],
            line["bucket"],
            line["field"],
            line["status"],
            *(
                (said.get(value, value) if line["field"] == "status" else value and value.removesuffix(" minor units"))
                for value in (line["left_value"], line["right_value"])
            ),
            line["left_updated_at"],
            line["right_updated_at"],
        )
        for line in lines
    }


def test_swapping_the_sides_mirrors_the_result():
    """Mirrored: every deal is written as a subscription and the reverse. Left and right then change places, and nothing else."""
    left, right = zip(*drawn(facing, 1_000, by=0), strict=True)
    (counts, differences), (mirrored_counts, mirrored) = laid_beside(left, right), laid_beside(right, left)
    swap = {"left_only": "right_only", "right_only": "left_only", "conflict": "conflict"}
    assert {bucket for _, bucket, *_ in differences} == set(swap)
    assert mirrored == {
        (key, swap[bucket], field, status, right_value, left_value, right_changed, left_changed)
        for key, bucket, field, status, left_value, right_value, left_changed, right_changed in differences
    }
    sides = {"left": "right", "right": "left"}
    assert mirrored_counts == {"_".join(sides.get(word, word) for word in name.split("_")): number for name, number in counts.items()}


HOSTILE = [
    "'; drop table marts.runs; --",
    'x" or ""="',
    "$$; delete from marts.discrepancy_history; $$",
    "{{ ref('ledger') }}",
    "{% raw %}{% endraw %}{# no #}",
    "\x1b[31mred\x1b[0m\x07",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|'/C calc'!A0",
    "+1+1",
    "-1+1",
    "\u202emoc.elpmaxe\u202c",
    "<script>alert(1)</script>",
    "%s %(x)s ${HOME} $(id) `id`",
    "a\r\nb\tc\0d",
    "a\\nb\\",
    "a\x1fb\x1ec",
    "NULL",
    "nan",
    "\U0001f9fe\u0301\u200d\u2066",
    "long " * 200_000 + "end",
]


def test_hostile_text_is_told_as_it_came():
    """As a value on either side, as a key, and in the record of a key that can't be used."""
    keys = [f"K{number} {text.upper()[:99]}" for number, text in enumerate(HOSTILE)]
    customers = [{"customer_number": f"C{number}", "status": "active"} for number in range(len(HOSTILE))]
    deals = [{"contract_number": key, "stage": "won", "plan": text} for key, text in zip(keys, HOSTILE, strict=True)]
    with Engine(**LIFTED) as engine:
        engine.night(
            FIRST_NIGHT,
            crm={
                "customers": [row | {"email": text} for row, text in zip(customers, HOSTILE, strict=True)],
                "deals": [*deals, {"contract_number": "same"}, *({"contract_number": " ", "plan": text} for text in HOSTILE)],
            },
            billing={
                "customers": [
                    {"customer_number": row["customer_number"], "country": text} for row, text in zip(customers, HOSTILE, strict=True)
                ],
                "subscriptions": [{"contract_number": "same"}],
            },
        )
        assert not engine.refusals()
        found = engine.rows("from warehouse.marts.discrepancies")
        told = {(row["record_key"], row["field"]): (row["left_value"], row["right_value"]) for row in found}
        apart = engine.rows("select record from warehouse.marts.unreconcilable")
    for number, (key, text) in enumerate(zip(keys, HOSTILE, strict=True)):
        assert told[f"C{number}", "email"] == (text, None)
        assert told[f"C{number}", "country"] == (None, text)
        assert (key, "") in told
    assert Counter(json.loads(row["record"])["plan"] for row in apart) == Counter(HOSTILE)


TYPES = {
    "amount": lambda text: Decimal(text),
    "amount_minor": lambda text: float(text),
    "starts_on": date.fromisoformat,
    "started_at": date.fromisoformat,
    "updated_at": datetime.fromisoformat,
}


def test_typed_columns_give_what_text_gives():
    """A system that types its exports (Parquet, SQL) is compared as one that writes text."""
    numbers = range(1, 40)
    amounts = ["100.00", "100.01", "100.02", "0.10", "12345678.90"]
    tables = {
        system: {
            table: [row for number in numbers for row in agreeing(number)[system][table]]
            for _, table in TABLES
            if table in agreeing(1)[system]
        }
        for system in ("crm", "billing")
    }
    for number, deal in zip(numbers, tables["crm"]["deals"], strict=True):
        deal |= {"amount": amounts[number % 5], "starts_on": f"2024-01-{number % 3 + 14}", "updated_at": "2026-03-02T23:00:00Z"}

    def typed(rows: list[Row]) -> list[Row]:
        return [{name: TYPES[name](value) if name in TYPES else value for name, value in row.items()} for row in rows]

    told = []
    for change in (list, typed):
        with Engine(**LIFTED) as engine:
            changed = {system: {table: change(rows) for table, rows in each.items()} for system, each in tables.items()}
            engine.night(FIRST_NIGHT, evidence=whole(tables), **changed)
            assert not engine.refusals()
            told.append(everything(engine, NAME_OF_RUN))
    assert last_counts(told[0])["contracts"]["conflicts"] > 20
    assert told[0] == told[1]
