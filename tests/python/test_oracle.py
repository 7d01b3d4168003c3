"""The models against a plain-Python oracle, over two or three nights of small generated worlds.

A world is a batch of cases. A case is one customer with one contract on which both sides agree, and a few edits that
drift from there; its number stands in its keys, so that a mismatch names its case and can be replayed alone. The
thresholds of trust are lifted (a batch is nothing but trouble, and they have tests of their own); all other checks are
in force.
"""

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple, NoReturn

import oracle
import pytest
from engine import Engine, lent
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from oracle import Comparison, Difference, Identity, Ledger, SetApart

FIRST_NIGHT = datetime(2026, 3, 3, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)
CASES_A_WORLD = 240
WORLDS = 22
LIFTED = {
    "least_share_of_last_run": 0,
    "most_share_of_last_run": 1000,
    "least_share_of_high_water": 0,
    "least_share_of_other_side": 0,
    "most_unreconcilable_share": 1,
    "most_null_share_rise": 1,
    "most_active_share_change": 1,
    "least_ended_share_of_other_side": 0,
    "most_share_different": 1,
    "least_share_still_there": 0,
}

# What an edit may write; {key} stands for the record's own key, {lower} for its lower case.
KEYS = [
    "{key}", "{lower}", " {key}", "{key} ", "\t{key}\r\n", "\u00a0{key}", "{key}\u200b", "\ufeff{key}\u2060",
    "\u3000{lower}\u2028", "\u200e{key}", "0{key}", "{key}.0", "{key}e0", "{key}\uff17", "{key}\u200b7", "{key} 7",
    "{key}-old", " {lower}-OLD",
    "{key}\u00e9", "{key}\u00c9", "{key}e\u0301", "{key}-2", "{lower}-2 ", None, "", " ", "\t\u00a0", "\u200b\u2060",
]  # fmt: skip
TEXTS = [
    "basic",
    " basic\u00a0",
    "Basic",
    "pro",
    "\u200b",
    "",
    None,
    "\u03c0\u2028\u03c0",
    "'; drop table",
    "{{ pro }}",
]
DATES = [
    "2024-01-15", " 2024-01-15\t", "2024-01-15T23:59:59Z", "2024-01-15T23:30:00-02:00", "2024-01-16T01:00:00+02:00",
    "2024-01-15 10:00", "2024-01-15T23:30-02:00", "2024-01-15 10:00Z", "2024-01-15T10:00:00.123456",
    "2024-01-15T10:00:00.1234567Z", "2024-01-16", "2024-02-29", "0001-01-01", "9999-12-31", "2024-02-30", "2023-02-29",
    "2024-13-01", "15.01.2024", "01/15/2024", "1705276800", "1705276800000", "soon", "", None,
]  # fmt: skip
MAJOR = [
    "100.00", "100", " 100.0 ", "1e2", "+100.00", "100.01", "99.99", "100.0100", "99.990", "100.01000001",
    "99.98999999", "100.02", "-100", "-0", "0", "0.01", ".5", "1e3", "1E+2", "0000100", "1e40", "1e400",
    "99999999999999999999.99", "12345678901234567890123456789012345678901", "NaN", "nan", "inf", "-Infinity",
    "1,234.50", "1.234,50", "100 EUR", "$100", "0x64", "\uff11\uff10\uff10", "--1", "1e", "true", "\u00a0", "", None,
]  # fmt: skip
MINOR = [
    "10000", " 10000", "1e4", "10001", "9999", "10002", "9998", "10000.5", "10001.0001", "0", "-0", "-10000", "100",
    "100000", "100010", "100011", "NaN", "Infinity", "1e40", "10,000", "100.00.0", "-", "", None,
]  # fmt: skip
CURRENCIES = ["EUR", "eur", " EUR\u00a0", "USD", "usd", "JPY", "KWD", "XXX", "", None]
EMAILS = [
    "{key}@Example.org", "{lower}@example.org", " {key}@EXAMPLE.ORG\t", "\u00e4na@example.org", "\u00c4NA@EXAMPLE.ORG",
    "bo@example.org", "\u202emoc.elpmaxe@oba", "=cmd|' /C calc'!A0", "\u200b", "", None,
]  # fmt: skip
COUNTRIES = ["DE", " DE ", "de", "FR", "\u00a0", "", None]
WORDS = {table: [*words, *(f" {word.upper()}\u00a0" for word in words), "frozen", "", None] for table, words in oracle.STATUS_WORDS.items()}
FIELDS = {
    ("crm", "customers"): {
        "status": WORDS["crm customers"],
        "email": EMAILS,
        "country": COUNTRIES,
    },
    ("crm", "deals"): {
        "stage": WORDS["crm deals"],
        "plan": TEXTS,
        "amount": MAJOR,
        "currency": CURRENCIES,
        "interval": ["month", "year", " month", "Month", "", None],
        "starts_on": DATES,
    },
    ("billing", "customers"): {"email": EMAILS, "country": COUNTRIES},
    ("billing", "subscriptions"): {
        "status": WORDS["billing subscriptions"],
        "plan": TEXTS,
        "amount_minor": MINOR,
        "currency": CURRENCIES,
        "interval": ["month", "year", " month", "Month", "", None],
        "started_at": DATES,
    },
}
TABLES = list(FIELDS)
KEY_OF = dict(zip(TABLES, ["customer_number", "contract_number"] * 2, strict=True))
# Seconds before the night's clock: at the lag, a second to either side of it, now, and in the future.
AGES = [86_399, 86_400, 86_401, 0, 3_600, -1, -86_400, -40_000_000, 200_000, 172_799, 172_800]
# Both sides' amounts in one currency, a tolerance apart or just past it: currency, major, minor.
MONEY = [
    ("EUR", "100.01", "10000"), ("EUR", "100.00", "10001"), ("EUR", "100.02", "10000"), ("USD", "100.00", "10000"),
    ("EUR", "100.02", "10000.5"), ("EUR", "100.5", "10050.0001"), ("JPY", "100", "100"), ("JPY", "100.01", "100"),
    ("JPY", "100.011", "100"), ("JPY", "101", "100"), ("KWD", "100.000", "100000"), ("KWD", "100.00", "100010"),
    ("KWD", "100.00", "100011"), ("KWD", "100.001", "99991"), ("XXX", "100", "100"), (None, "100", "100"),
    (None, None, None), ("EUR", None, None), ("EUR", "NaN", "NaN"),
]  # fmt: skip
GAPS = [86_400, 86_399, 86_401, 3_600, 43_200, 172_800, 2_592_000]

Edit = tuple  # night, what, …; see `edited`


class World(NamedTuple):
    gaps: list[int]  # seconds from each night to the next
    untrusted: int | None  # the night on which the CRM's pull did not finish
    key_map: bool  # the CRM's own key of a deal, <key>-old, is known to be billing's <key>
    cases: dict[int, list[Edit]]


in_night = st.sampled_from([0, 0, 1, 1, 2])
table = st.sampled_from(TABLES)
age = st.sampled_from(AGES)
word = st.sampled_from(WORDS["billing subscriptions"])
FIELD_VALUES = {
    table: st.one_of([st.tuples(st.just(name), st.sampled_from(values)) for name, values in each.items()]) for table, each in FIELDS.items()
}
in_fields = table.flatmap(lambda table: st.tuples(in_night, st.just("write"), st.just(table), FIELD_VALUES[table]))
edits = st.one_of(
    in_fields,
    in_fields,
    st.tuples(in_night, st.just("write"), table, st.sampled_from([("key", value) for value in KEYS])),
    st.tuples(in_night, st.just("write"), table, st.sampled_from([("updated_at", value) for value in ["", None, "noon"]])),
    st.tuples(in_night, st.just("age"), table, age),
    st.tuples(in_night, st.just("age"), table, age),
    st.tuples(in_night, st.just("copy"), table, st.sampled_from(["{key}", *KEYS])),
    st.tuples(in_night, st.just("remove"), table),
    st.tuples(in_night, st.just("restore"), table),
    st.tuples(in_night, st.just("restore"), table),
    st.tuples(in_night, st.just("end")),
    st.tuples(in_night, st.just("money"), st.sampled_from(MONEY)),
    st.tuples(in_night, st.just("subscribe"), word, age),
)
comes_and_goes = in_fields.map(lambda edit: [(0, *edit[1:]), (1, "restore", edit[2]), (2, *edit[1:])])
turns = st.builds(lambda table, edit: [(0, "remove", table), (1, *edit[1:]), (2, "restore", table)], table, in_fields)
cases = st.one_of([*[st.lists(edits, min_size=1, max_size=5)] * 6, comes_and_goes, turns])
settings_of_worlds = st.tuples(
    st.lists(st.sampled_from(GAPS), min_size=1, max_size=2), st.sampled_from([None, None, None, 0, 1]), st.booleans()
)


def agreeing(number: int) -> oracle.Tables:
    """One case before its edits: both sides hold the same customer and the same contract."""
    customer, contract, since = f"C{number}-7", f"K{number}-7", "2024-01-15T00:00:00Z"
    person = {"customer_number": customer, "email": f"{customer}@Example.org", "country": "DE", "updated_at": since}
    deal = {"contract_number": contract, "plan": "basic", "currency": "EUR", "interval": "month", "updated_at": since}
    return {
        "crm": {
            "customers": [person | {"status": "active"}],
            "deals": [deal | {"customer_number": customer, "stage": "won", "amount": "100.00", "starts_on": "2024-01-15"}],
        },
        "billing": {
            "customers": [person],
            "subscriptions": [
                deal | {"customer_number": customer, "status": "active", "amount_minor": "10000", "started_at": "2024-01-15"}
            ],
        },
    }


def edited(tables: oracle.Tables, number: int, edit: Edit, as_of: datetime) -> None:
    """Applies one edit to a case's tables. What is written to a key may be text around {key}, the record's own."""
    _, what, *rest = edit
    if what == "money":
        currency, major, minor = rest[0]
        for row in tables["crm"]["deals"]:
            row |= {"currency": currency, "amount": major}
        for row in tables["billing"]["subscriptions"]:
            row |= {"currency": currency, "amount_minor": minor}
        return
    if what == "end":
        for rows, name, value in (
            (tables["crm"]["customers"], "status", "churned"),
            (tables["crm"]["deals"], "stage", "lost"),
            (tables["billing"]["subscriptions"], "status", "canceled"),
        ):
            for row in rows:
                row[name] = value
        return
    if what == "subscribe":
        word, age = rest
        more = agreeing(number)["billing"]["subscriptions"][0]
        more |= {"contract_number": f"K{number}-7-2", "status": word, "updated_at": before(as_of, age)}
        tables["billing"]["subscriptions"].append(more)
        return
    (system, table), *values = rest
    rows, key = tables[system][table], KEY_OF[system, table]
    own_key = agreeing(number)[system][table][0][key]
    if what == "restore":
        rows[:] = agreeing(number)[system][table]
    elif what == "remove":
        rows.clear()
    elif what == "copy" and rows:
        rows.append(rows[0] | {key: filled(values[0], own_key)})
    elif what == "age":
        for row in rows:
            row["updated_at"] = before(as_of, values[0])
    elif what == "write":
        name, value = values[0]
        for row in rows:
            row[key if name == "key" else name] = filled(value, own_key)


def before(as_of: datetime, age: int) -> str:
    return f"{as_of - timedelta(seconds=age):%Y-%m-%dT%H:%M:%SZ}"


def filled(value: str | None, key: str) -> str | None:
    return value and value.replace("{key}", key).replace("{lower}", key.lower())


def played(world: World) -> list[tuple[datetime, oracle.Tables]]:
    """The clock and both sides' tables, night by night. Case 0 is never edited, so that no table is empty."""
    as_of, told = FIRST_NIGHT, []
    cases = {number: deepcopy(agreeing(number)) for number in (0, *world.cases)}
    for night, gap in enumerate([0, *world.gaps]):
        as_of += timedelta(seconds=gap)
        for number, case_edits in world.cases.items():
            for edit in case_edits:
                if edit[0] == night:
                    edited(cases[number], number, edit, as_of)
        told.append(
            (
                as_of,
                {
                    system: {
                        table: [dict(row) for case in cases.values() for row in case[system][table]]
                        for owner, table in TABLES
                        if owner == system
                    }
                    for system in ("crm", "billing")
                },
            )
        )
    return told


COUNTS = [
    "left_rows", "right_rows", "left_in_scope", "right_in_scope", "matched", "conflicts", "left_only", "right_only",
    "out_of_scope_left", "out_of_scope_right", "unreconcilable_left", "unreconcilable_right",
    "unreadable_left", "unreadable_right",
]  # fmt: skip
COUNTS_OF_SIDES = [name for name in COUNTS if name.endswith(("_rows", "_in_scope")) or name.startswith("unreadable")]
CHANGES = ["open", "in_flight", "quarantined", "opened", "resolved"]
REASONS = {
    "is empty": "empty", "is blank": "blank", "times on this side": "repeated",
    "on the other side": "repeated on the other side",
}  # fmt: skip
RESOLUTIONS = {
    "left_only": ["both sides agree", "gone from both sides", "out of scope on both sides"],
    "right_only": ["both sides agree", "gone from both sides", "out of scope on both sides"],
    "conflict": ["both sides agree", "superseded: now left only", "superseded: now right only", "out of scope on both sides"],
}
MUST_BE_REACHED = {
    *(f"{pair}: {count}" for pair in oracle.PAIRS for count in COUNTS),
    *(f"{pair}: {side} key {why}" for pair in oracle.PAIRS for side in ("left", "right") for why in REASONS.values()),
    *(f"customers: conflict {field} {state}" for field in ("status", "email", "country") for state in ("open", "in_flight")),
    *(f"contracts: conflict {field} open" for field in ("status", "amount", "currency", "interval", "starts_on")),
    "contracts: conflict plan quarantined",
    *(f"contracts: unreadable {field}" for field in ("status", "amount", "starts_on")),
    *(f"{pair}: {bucket}_only  {state}" for pair in oracle.PAIRS for bucket in ("left", "right") for state in ("open", "in_flight")),
    *(f"{pair}: {bucket} {why}" for pair in oracle.PAIRS for bucket, each in RESOLUTIONS.items() for why in each),
    *(f"{pair}: {what}" for pair in oracle.PAIRS for what in ("reopened", "stays open, unreconcilable")),
    *(f"contracts: amounts {apart} apart" for apart in ("0", "0.01", "0.01000001", "0.011", "0.02")),
    *(f"{what} {seconds} from the lag" for what in ("changed", "first seen") for seconds in ("+0", "+1", "-1")),
    "customers: unreadable status", "contracts: stays open, in two currencies",
    "changed at no time", "changed in the future",
}  # fmt: skip


class Night(NamedTuple):
    """What a night left behind: the models' and the oracle's have the same shape."""

    counts: dict[str, dict[str, int | None]]  # pair → column of marts.runs → number
    ledger: dict[Identity, Difference]
    published: dict[Identity, tuple]  # marts.discrepancies; see `as_published`
    set_apart: Counter[SetApart]


def crosswalk(world: World) -> dict[str, str]:
    return {f" k{number}-7-OLD": f"K{number}-7" for number in world.cases} if world.key_map else {}


def observed(world: World) -> list[Night]:
    """Runs the world through the models."""
    told = []
    with lent(**LIFTED) as engine:
        pairs = crosswalk(world).items()
        engine.seed("key_map", [{"reconciliation": "contracts", "left_key": a, "right_key": b} for a, b in pairs])
        for night, (as_of, tables) in enumerate(played(world)):
            is_whole = night != world.untrusted
            evidence = {
                (system, table): {
                    "declared_total": len(tables[system][table]),  # a batch may be page-shaped
                    "end_seen": is_whole or system == "billing",
                }
                for system, table in TABLES
            }
            engine.night(as_of, evidence=evidence, **tables)
            refused = engine.refusals()
            assert bool(refused) != is_whole, f"night {night}: {refused or 'an unfinished pull was trusted'}"
            told.append(read(engine))
    return told


def read(engine: Engine) -> Night:
    runs = engine.rows("from warehouse.marts.runs where run_seq = (select max(run_seq) from warehouse.marts.runs)")
    lines = engine.rows("from warehouse.marts.discrepancy_history")
    history = engine.rows("from warehouse.marts.discrepancy_history")
    assert len({line["discrepancy_id"] for line in lines}) == len(lines), "an identity stands twice in the ledger"
    assert {identity(row): as_listed(row) for row in history} == {identity(row): as_listed(row) for row in lines}
    return Night(
        counts={run["reconciliation"]: {name: run[name] for name in (*COUNTS, *CHANGES)} for run in runs},
        ledger={identity(line): difference(line) for line in lines},
        published={identity(row): as_published(row, row["age_hours"]) for row in engine.rows("from warehouse.marts.discrepancies")},
        set_apart=Counter(map(set_apart, engine.rows("from warehouse.marts.unreconcilable"))),
    )


def identity(row: Mapping) -> Identity:
    return Identity(row["reconciliation"], row["record_key"], row["bucket"], row["field"])


def difference(line: Mapping) -> Difference:
    names = {known.name for known in fields(Difference)} & set(line)
    return Difference(**{name: line[name] for name in names}, worth=worth(line), is_of_plan=line["field"] == "plan")


def worth(row: Mapping) -> tuple | None:
    return None if row["value_at_risk"] is None else (row["value_at_risk"], row["currency"])


def as_listed(row: Mapping) -> tuple:
    return tuple(row[name] for name in ("left_value", "right_value", "first_seen_at", "opened_at", "resolved_at", "resolution"))


def as_published(row: Mapping, age_hours: float) -> tuple:
    """Not its status: what people decided about a difference may stand there instead."""
    names = ("left_value", "right_value", "first_seen_at", "last_seen_at", "runs_seen", "times_reopened")
    return (*(row[name] for name in names), age_hours)


def set_apart(row: Mapping) -> SetApart:
    key = "customer_number" if row["reconciliation"] == "customers" else "contract_number"
    reason = next(reason for words, reason in REASONS.items() if words in row["reason"])
    return SetApart(row["reconciliation"], row["side"], row["record_key"], json.loads(row["record"])[key], reason)


def expected(world: World, reached: Counter[str] | None = None) -> list[Night]:
    """The same by the oracle. `reached` counts what the world held."""
    ledgers, told = {pair: Ledger() for pair in oracle.PAIRS}, []
    unusable, trusted_at = Counter(), None
    for night, (as_of, tables) in enumerate(played(world)):
        is_trusted = night != world.untrusted
        comparisons = {pair: oracle.compare(pair, tables, crosswalk(world) if pair == "contracts" else None) for pair in oracle.PAIRS}
        if is_trusted:
            for pair, comparison in comparisons.items():
                ledgers[pair].take(as_of, comparison)
                if reached is not None:
                    reached.update(kinds(as_of, comparison, ledgers[pair]))
            unusable = Counter(row for comparison in comparisons.values() for row in comparison.set_apart)
            trusted_at = as_of
        lines = {identity: line for ledger in ledgers.values() for identity, line in ledger.lines.items()}
        told.append(
            Night(
                counts={pair: counted(comparison, ledgers[pair], as_of, is_trusted) for pair, comparison in comparisons.items()},
                ledger=lines,
                published={
                    identity: as_published(vars(line), round((trusted_at - line.first_seen_at) / HOUR, 2))
                    for identity, line in lines.items()
                    if line.resolved_at is None
                },
                set_apart=unusable,
            )
        )
    return told


def counted(comparison: Comparison, ledger: Ledger, as_of: datetime, is_trusted: bool) -> dict[str, int | None]:
    """The counts of marts.runs. A run that was not trusted counts its sides, but no bucket: nothing was compared."""
    lines = ledger.lines.values()
    buckets = {name: comparison.counts[name] if is_trusted or name in COUNTS_OF_SIDES else None for name in COUNTS}
    return buckets | {
        "open": sum(line.status == "open" for line in lines),
        "in_flight": sum(line.status == "in_flight" for line in lines),
        "quarantined": sum(line.status == "quarantined" for line in lines),
        "opened": sum(is_trusted and line.opened_at == as_of for line in lines),
        "resolved": sum(is_trusted and line.resolved_at == as_of for line in lines),
    }


def kinds(as_of: datetime, comparison: Comparison, ledger: Ledger) -> Iterator[str]:
    """What a trusted night held that a generator must not miss."""
    pair = comparison.pair
    yield from (f"{pair}: {name}" for name, number in comparison.counts.items() if number)
    yield from (f"{pair}: {apart.side} key {apart.reason}" for apart in comparison.set_apart)
    yield from (f"{pair}: {name}" for name in comparison.noted)
    for (_, _, bucket, name), line in ((identity, ledger.lines[identity]) for identity in comparison.differences):
        yield f"{pair}: {bucket} {name} {line.status}"
        if line.times_reopened:
            yield f"{pair}: reopened"
        changed_at = oracle.latest(line.left_updated_at, line.right_updated_at)
        if changed_at is None:
            yield "changed at no time"
            continue
        if changed_at > as_of:
            yield "changed in the future"
        for what, then in ("changed", changed_at), ("first seen", line.first_seen_at):
            is_telling = what == "changed" or as_of - changed_at < oracle.LAG
            if is_telling and abs(seconds := int((as_of - then - oracle.LAG).total_seconds())) <= 1:
                yield f"{what} {seconds:+} from the lag"
    for identity, line in ledger.lines.items():
        if line.resolved_at == as_of:
            yield f"{pair}: {identity.bucket} {line.resolution}"
        elif line.resolved_at is None and line.last_seen_at != as_of:
            is_undecided = (identity.key, identity.field) in comparison.undecided
            yield f"{pair}: stays open, {'in two currencies' if is_undecided else 'unreconcilable'}"


def mismatches(seen: list[Night], wanted: list[Night]) -> list[str]:
    """One paragraph a value that is not what it should be."""
    return [
        f"night {night}, {name}, {key}:\n  models {apart(found.get(key), truth.get(key))}\n  oracle {apart(truth.get(key), found.get(key))}"
        for night, nights in enumerate(zip(seen, wanted, strict=True))
        for name, found, truth in zip(Night._fields, *nights, strict=True)
        for key in sorted(found.keys() | truth.keys(), key=repr)
        if found.get(key) != truth.get(key)
    ]


def apart(one: object, other: object) -> object:
    """What of `one` is not in `other`: the columns that differ, where both are rows."""
    if type(one) is not type(other) or not isinstance(one, Difference | dict):
        return one
    mine, theirs = (row if isinstance(row, dict) else vars(row) for row in (one, other))
    return {name: value for name, value in mine.items() if value != theirs[name]}


def check(world: World) -> None:
    """Fails naming what differs, and the least world to replay it with: check(World(…))."""
    if mismatches(observed(world), expected(world)):
        fail(world)


def fail(world: World) -> NoReturn:
    world = narrowed(world)
    told = mismatches(observed(world), expected(world))
    pytest.fail("\n".join([*told[:9], f"{len(told)} in all. Replay: check({world})"]), pytrace=False)


def narrowed(world: World) -> World:
    """The world with half of its cases left out, and half again, for as long as something differs."""
    numbers = list(world.cases)
    for half in (numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]):
        less = world._replace(cases={number: world.cases[number] for number in half})
        if len(numbers) > 1 and mismatches(observed(less), expected(less)):
            return narrowed(less)
    return world


def drawn(strategy: st.SearchStrategy, examples: int, by: int | None) -> list:
    """Examples by Hypothesis, no two alike; by what number they are drawn, None: by chance.

    Run later and in batches: a failure names its cases, so none is shrunk. Of one number nearly the same are drawn each time:
    Hypothesis takes some constants from the modules that a process has loaded by then.
    """
    told = []

    @settings(
        max_examples=examples, phases=[Phase.generate], database=None, deadline=None,
        suppress_health_check=[HealthCheck.too_slow],  # the machine's business
    )  # fmt: skip
    @seed(random.random() if by is None else by)
    @given(strategy)
    def collect(example: object) -> None:
        told.append(example)

    collect()
    return told


def drawn_worlds(number: int, by: int | None = 0) -> Iterator[World]:
    wanted = number * CASES_A_WORLD
    told = drawn(cases, wanted * 3 // 2, by)
    distinct = list({repr(case): case for case in told}.values())[:wanted]  # Hypothesis likes some examples twice
    around = drawn(settings_of_worlds, number, by)
    for batch in range(number):
        yield World(*around[batch % len(around)], dict(enumerate(distinct[batch::number], 1)))


@pytest.fixture(scope="module")
def played_worlds() -> list[tuple[World, list[Night]]]:
    """The default run: worlds, and what the models made of them."""
    return [(world, observed(world)) for world in drawn_worlds(WORLDS)]


def test_models_agree_with_the_oracle(played_worlds):
    reached = Counter()
    for world, seen in played_worlds:
        if mismatches(seen, expected(world, reached)):
            fail(world)
    assert not MUST_BE_REACHED - reached.keys()
    assert sum(len(world.cases) for world, _ in played_worlds) >= 5_000


@pytest.mark.sweep
def test_models_agree_with_the_oracle_for_longer():
    for world in drawn_worlds(5 * WORLDS, by=None):
        check(world)


DEAL, CUSTOMER, SUBSCRIPTION = ("crm", "deals"), ("billing", "customers"), ("billing", "subscriptions")
# Each was wrong once.
MENDED = {
    "in flight for ever, for its key stands twice now": [
        (0, "age", DEAL, 0),
        (0, "write", DEAL, ("plan", "pro")),
        (1, "copy", DEAL, "{key}"),
    ],
    "100 dollars at risk are told as 100 euros": [
        (0, "write", DEAL, ("amount", "1,234.50")),
        (0, "write", SUBSCRIPTION, ("currency", "USD")),
    ],
    "10000.5 cents are told as 100.00": [(0, "money", ("EUR", "100.02", "10000.5"))],
    "an unreadable time is not counted": [(0, "write", CUSTOMER, ("updated_at", None)), (0, "write", SUBSCRIPTION, ("updated_at", "noon"))],
    "two huge amounts end the run": [(0, "money", ("EUR", "999999999999999999999999999999", "-1e23"))],
    "a ninth decimal is rounded away before it is compared": [(0, "money", ("EUR", "100.010000001", "10000"))],
    "1_00 is read as 100": [(0, "write", DEAL, ("amount", "1_00"))],
    "infinity is read as a date": [(0, "write", DEAL, ("starts_on", "infinity")), (0, "write", SUBSCRIPTION, ("started_at", "infinity"))],
}


def test_what_was_wrong_once():
    """A case each, in one world: what differs is narrowed to its case."""
    check(World([86_400], None, False, dict(enumerate(MENDED.values(), 1))))


def status_without_first_sight(as_of: datetime, line: Difference) -> str:
    changed_at = oracle.latest(line.left_updated_at, line.right_updated_at)
    return "in_flight" if changed_at and as_of - changed_at < oracle.LAG else oracle.answered(line)


def with_inactive(word: str) -> dict[str, dict[str, str]]:
    return {table: words | {word: "inactive"} for table, words in oracle.STATUS_WORDS.items()}


# A wrong idea of what is right, each as small as the models' own mistakes could be.
WRONG = {
    "a tolerance that leaves out its edge": ("TOLERANCE", Decimal("0.00999999")),
    "a tolerance a hair too wide": ("TOLERANCE", Decimal("0.01000001")),
    "a lag a second too short": ("LAG", timedelta(hours=24, seconds=-1)),
    "a lag a second too long": ("LAG", timedelta(hours=24, seconds=1)),
    "no-break space is no blank": ("BLANKS", oracle.BLANKS.replace("\u00a0", "")),
    "zero width is no blank": ("BLANKS", oracle.BLANKS.replace("\u200b", "")),
    "a tab is no blank": ("BLANKS", oracle.BLANKS.replace("\t", "")),
    "keys in their case": ("identifier", oracle.trimmed),
    "e-mail in its case": ("caseless", oracle.trimmed),
    "yen have cents": ("EXPONENTS", oracle.EXPONENTS | {"JPY": 2}),
    "dinars have cents": ("EXPONENTS", oracle.EXPONENTS | {"KWD": 2}),
    "past due is not active": ("STATUS_WORDS", with_inactive("past_due")),
    "an unknown word is inactive": ("STATUS_WORDS", with_inactive("frozen")),
    "the first change counts, not the last": ("latest", lambda *times: min(filter(None, times), default=None)),
    "a record that is touched hides its difference": ("status", status_without_first_sight),
    "a value is worth nothing": ("worth", lambda *records: None),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_oracle_would_be_told(what, played_worlds, monkeypatch):
    """The generated worlds reach every edge: an oracle that is off by a hair disagrees with the models somewhere."""
    monkeypatch.setattr(oracle, *WRONG[what])
    assert any(mismatches(seen, expected(world)) for world, seen in played_worlds)


@pytest.fixture(scope="module")
def agreed() -> Iterator[tuple[Engine, list[Night]]]:
    """A night on which models and oracle are of one mind, and what the oracle says of it."""
    edits_of_two = {1: [(0, "write", DEAL, ("plan", "pro"))], 2: [(0, "write", DEAL, ("key", "\t"))]}
    world = World([], None, False, edits_of_two)
    ((as_of, tables),) = played(world)
    with Engine(**LIFTED) as engine:
        engine.night(as_of, **tables)
        assert not mismatches([read(engine)], expected(world))
        yield engine, expected(world)


@pytest.mark.parametrize(
    "planted",
    [
        "update warehouse.marts.discrepancy_history set status = 'resolved' where record_key = 'K1-7' and field = 'plan'",
        "update warehouse.marts.discrepancy_history set runs_seen = runs_seen + 1 where record_key = 'K1-7' and field = 'plan'",
        "update warehouse.marts.discrepancy_history set right_updated_at = right_updated_at + interval 1 second where field = 'plan'",
        "update warehouse.marts.discrepancies set left_value = left_value || ' ' where field = 'plan'",
        "delete from warehouse.marts.discrepancies where field = 'plan'",
        "insert into warehouse.marts.discrepancies by name select * replace ('K3-7' as record_key) from warehouse.marts.discrepancies",
        "update warehouse.marts.runs set matched = matched - 1, conflicts = conflicts + 1",
        "update warehouse.marts.unreconcilable set record_key = 'K1-7'",
        "delete from warehouse.marts.unreconcilable",
        "insert into warehouse.marts.unreconcilable from warehouse.marts.unreconcilable",
    ],
)
def test_a_planted_difference_is_told(planted, agreed):
    engine, wanted = agreed
    engine.connection.begin()
    engine.connection.execute(planted)
    seen = read(engine)
    engine.connection.rollback()
    assert mismatches([seen], wanted)
    assert not mismatches([read(engine)], wanted)
