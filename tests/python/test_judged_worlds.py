"""The three-way judgement over generated worlds of four nights, and over what neither they nor the combinations can hold."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import oracle
import pytest
from engine import Engine, lent
from hypothesis import strategies as st
from judgements import mismatches, night, read, written
from oracle import Identity
from oracle_judge import CHANGED, CREATED, GONE, OTHER, OVERWRITTEN, TWO_KEYS, UNKNOWN, UNMAPPED, Judge
from test_oracle import FIRST_NIGHT, LIFTED, TABLES, Edit, World, agreeing, drawn, edits, played
from test_three_way import RULES

HOUR = timedelta(hours=1)

DEAL, SUBSCRIPTION = ("crm", "deals"), ("billing", "subscriptions")
FIELDS = {
    "country": (
        (("crm", "customers"), "country", ["DE", "FR", "NL", " DE ", None]),
        (("billing", "customers"), "country", ["DE", "FR", "NL"]),
    ),
    "status": (
        (("crm", "customers"), "status", ["active", "paused", "churned", "trial", "frozen"]),
        (SUBSCRIPTION, "status", ["active", "paused", "canceled", "past_due", "frozen"]),
    ),
    "stage": (
        (DEAL, "stage", ["won", "lost", None, "frozen"]),
        (SUBSCRIPTION, "status", ["active", "canceled", "paused", "past_due"]),
    ),
    "plan": ((DEAL, "plan", ["basic", "pro", "team", None]), (SUBSCRIPTION, "plan", ["basic", "pro", "team"])),
    "amount": (
        (DEAL, "amount", ["100.00", "200", "300", "100.01", "NaN"]),
        (SUBSCRIPTION, "amount_minor", ["10000", "20000", "30000", "10001", "NaN"]),
    ),
    "currency": ((DEAL, "currency", ["EUR", "USD"]), (SUBSCRIPTION, "currency", ["EUR", "USD"])),
    "starts_on": (
        (DEAL, "starts_on", ["2024-01-15", "2024-01-16", "2024-01-17", "soon"]),
        (SUBSCRIPTION, "started_at", ["2024-01-15T12:00:00Z", "2024-01-16", "2024-01-17", "soon"]),
    ),
}
AGES = [3_600, 7_200, 7_200, 10_800, 90_000, 0, -3_600]
GAPS = [86_400, 43_200, 172_800]
NIGHTS = 4
WORLDS = 4
CASES_A_WORLD = 400
number_of_value = st.sampled_from([0, 0, 1, 1, 1, 2, 2, 3, 4])


@st.composite
def changes(draw: st.DrawFn) -> list:
    """One field from night to night: nobody, one side or both change it, both mostly to the same."""
    sides = FIELDS[draw(st.sampled_from(list(FIELDS)))]
    told = []
    for when in range(NIGHTS):
        who = draw(st.sampled_from(["", "left", "right", "left right", "left right"] if when else ["", "", "left right"]))
        number = draw(number_of_value)
        for side, (table, column, values) in zip(OTHER, sides, strict=True):
            if side in who:
                other = draw(st.sampled_from([number, number, number, number + 1]))
                told += [(when, "write", table, (column, values[other % len(values)])), (when, "age", table, draw(st.sampled_from(AGES)))]
    return told


@st.composite
def comings_and_goings(draw: st.DrawFn) -> list:
    """A record goes and comes back, gets another key, or was made at another time."""
    table, when = draw(st.sampled_from(TABLES)), draw(st.integers(0, NIGHTS - 1))
    what = draw(st.sampled_from(["remove", "restore", "turn", "late", "key", "created"]))
    if what == "key":
        return [(when, "write", table, ("key", draw(st.sampled_from(["{key}-old", "{key}", "{key}-2"]))))]
    if what == "created":
        created = written(FIRST_NIGHT + draw(st.integers(-12, 80)) * HOUR)
        return [] if table == SUBSCRIPTION else [(when, "write", table, ("created_at", created))]
    other = next(each for each in TABLES if each[0] != table[0] and (each[1] == "customers") == (table[1] == "customers"))
    if what == "turn":
        return [(when - 1, "remove", table), (when, "remove", other), (when, "restore", table)]
    if what == "late":
        name = "country" if table[1] == "customers" else "plan"
        return [
            (when - 1, "remove", table),
            (when, "restore", table),
            (when, "write", other, (name, "FR")),
            (when, "age", other, 3_600),
        ]
    return [(when, what, table)]


def dated(story: list) -> list:
    """The CRM says so when it changes: what both change alike under old times may be remembered or not, and is not told of here."""
    told = [edit for edit in story if not hides_its_time(edit)]
    said = {(edit[0], edit[2]) for edit in told if edit[1] == "age"}
    changed = {(edit[0], ("crm", table)) for edit in told for table in written_in_crm(edit)}
    return told + [(when, "age", table, 3_600) for when, table in sorted(changed - said)]


def hides_its_time(edit: Edit) -> bool:
    _, what, *rest = edit
    if what not in ("age", "write") or rest[0][0] != "crm":
        return False
    return rest[1] > max(AGES) if what == "age" else rest[1][0] == "updated_at"


def written_in_crm(edit: Edit) -> list[str]:
    _, what, *rest = edit
    if what in ("write", "restore"):
        return [rest[0][1]] if rest[0][0] == "crm" else []
    return {"end": ["customers", "deals"], "money": ["deals"]}.get(what, [])


stories = st.builds(
    lambda *parts: dated([edit for part in parts for each in part for edit in each]),
    st.lists(changes(), min_size=1, max_size=2),
    st.lists(st.one_of(comings_and_goings(), comings_and_goings(), edits.map(lambda edit: [edit])), max_size=2),
)
settings_of_worlds = st.tuples(
    st.lists(st.sampled_from(GAPS), min_size=NIGHTS - 1, max_size=NIGHTS - 1),
    st.sampled_from([None, None, None, 0, 1, 2]),
    st.booleans(),
)


def drawn_worlds(number: int, by: int | None = 0) -> Iterator[World]:
    told = drawn(stories, number * CASES_A_WORLD, by)
    around = drawn(settings_of_worlds, number, by)
    for batch in range(number):
        yield World(*around[batch % len(around)], dict(enumerate(told[batch::number], 1)))


def worlds_until(number: int, is_enough: Callable[[], bool]) -> Iterator[World]:
    """So many, and as many again until it is enough, for some turns."""
    for turn in range(12):
        yield from drawn_worlds(number, by=turn)
        if is_enough():
            return


@contextmanager
def checked(world: World, reached: Counter[str] | None = None) -> Iterator[Engine]:
    """The models after the last night, on every one of which the oracle agreed with them. Fails with what differs otherwise, and the
    least world to replay it with: check(World(…)).
    """
    with lent(**LIFTED) as engine:
        wrong = mismatches_of(world, engine, reached)
        if wrong:
            world = narrowed(world)
            wrong = alone(world) or wrong
            pytest.fail(
                "\n".join([*(f"{each}: {why}" for each, why in wrong[:9]), f"{len(wrong)} in all. Replay: check({world})"]), pytrace=False
            )
        yield engine


def check(world: World, reached: Counter[str] | None = None) -> None:
    with checked(world, reached):
        pass


def alone(world: World) -> list[tuple[Identity, str]]:
    with lent(**LIFTED) as engine:
        return mismatches_of(world, engine)


def mismatches_of(world: World, engine: Engine, reached: Counter[str] | None = None) -> list[tuple[Identity, str]]:
    """After every night: what the models say of each difference, and the oracle."""
    crosswalk = {f" k{number}-7-OLD": f"K{number}-7" for number in world.cases} if world.key_map else {}
    judges = {pair: Judge(pair) for pair in oracle.PAIRS}
    engine.seed("key_map", [{"reconciliation": "contracts", "left_key": a, "right_key": b} for a, b in crosswalk.items()])
    for number, (as_of, tables) in enumerate(played(world)):
        # One pair's untrusted night or both's: the customers don't need the deals.
        untrusted = [] if number != world.untrusted else [("crm", "deals")] if number == 1 else TABLES
        night(engine, as_of, tables, untrusted=untrusted)
        for pair, judge in judges.items():
            if not untrusted or (pair == "customers" and number == 1):
                judge.take(as_of, oracle.compare(pair, tables, crosswalk if pair == "contracts" else None))
                if reached is not None:
                    reached.update(f"{pair} {line.rule}" for line in judge.lines.values())
        wrong = mismatches(read(engine), judges)
        if wrong:
            return sorted(wrong.items())
    return []


def narrowed(world: World) -> World:
    """The world with half of its cases left out, and half again, and then edit by edit, for as long as something differs."""
    numbers = list(world.cases)
    for half in (numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]):
        less = world._replace(cases={number: world.cases[number] for number in half})
        if len(numbers) > 1 and alone(less):
            return narrowed(less)
    for number, told in world.cases.items() if len(numbers) == 1 else ():
        for edit in range(len(told)):
            less = world._replace(cases={number: told[:edit] + told[edit + 1 :]})
            if alone(less):
                return narrowed(less)
    return world


GENERATED_RULES = {f"{pair} {rule}" for pair in oracle.PAIRS for rule in [*RULES - {"1", "2"}, "1"]} | {"contracts 2", "customers 5"}


def test_generated_worlds_are_judged_alike():
    reached = Counter()
    for world in worlds_until(WORLDS, lambda: reached.keys() >= GENERATED_RULES):
        check(world, reached)
    assert not GENERATED_RULES - reached.keys()


@pytest.mark.sweep
def test_generated_worlds_are_judged_alike_for_longer():
    for world in drawn_worlds(20 * WORLDS, by=None):
        check(world)


# What the combinations and worlds can't hold, by hand. Nights are the edits of one case: see test_oracle.edited.
CRM, BILLING = ("crm", "customers"), ("billing", "customers")
DAY = [86_400]


def said(edits_of_one: list, nights: int, pair: str = "customers", field: str = "country") -> dict:
    """The row that the last of so many nights leaves of this difference, after models and oracle were held against each other."""
    with checked(World(DAY * (nights - 1), None, False, {1: edits_of_one})) as engine:
        (row,) = engine.rows("from warehouse.marts.discrepancies where reconciliation = ? and field = ?", pair, field)
    return row


def both(when: int, country: str, left_age: int, right_age: int) -> list:
    return [
        *((when, "write", table, ("country", country)) for table in (CRM, BILLING)),
        (when, "age", CRM, left_age),
        (when, "age", BILLING, right_age),
    ]


@pytest.mark.parametrize(
    ("first", "last", "stale_side"), [((7_200, 3_600), (3_600, 7_200), "left"), ((3_600, 7_200), (7_200, 3_600), "right")]
)
def test_the_last_change_away_from_a_value_counts(first, last, stale_side):
    """DE, FR, DE, FR again: one side led the first change away from DE, the other the last. Then left is back at DE."""
    back = [(4, "write", CRM, ("country", "DE")), (4, "age", CRM, 3_600)]
    row = said([*both(1, "FR", *first), *both(2, "DE", 3_600, 3_600), *both(3, "FR", *last), *back], nights=5)
    expected = (OVERWRITTEN, "left") if stale_side == "left" else (CHANGED, "right")
    assert (row["cause"], row["stale_side"]) == expected


def test_the_base_of_an_earlier_opening_is_remembered():
    """Left changed DE to FR, right followed; then right moved on to NL, and only a night later fell back to DE."""
    story = [
        (1, "write", CRM, ("country", "FR")), (2, "write", BILLING, ("country", "FR")),
        (3, "write", BILLING, ("country", "NL")), (4, "write", BILLING, ("country", "DE")),
    ]  # fmt: skip
    row = said(story, nights=5)
    assert (row["cause"], row["stale_side"], row["base_value"]) == (OVERWRITTEN, "right", "FR")


@pytest.mark.parametrize("missing", [1, 2])
@pytest.mark.parametrize(("gone", "stale_side"), [(CRM, "right"), (BILLING, "left")])
def test_the_base_outlives_the_nights_on_which_a_side_lacks_the_record(gone, stale_side, missing):
    """It comes back as another: what both last agreed on is still what that is held against."""
    story = [(1, "remove", gone), (1 + missing, "restore", gone), (1 + missing, "write", gone, ("country", "FR"))]
    row = said(story, nights=2 + missing)
    assert (row["cause"], row["stale_side"], row["base_value"], row["agreed_at"]) == (CHANGED, stale_side, "DE", FIRST_NIGHT)


def test_what_was_agreed_last_is_kept_while_a_side_lacks_the_record_and_no_longer():
    story = [(1, "remove", BILLING), (3, "restore", BILLING)]
    kept = {}
    for nights in (3, 4):
        with checked(World(DAY * (nights - 1), None, False, {1: story})) as engine:
            (row,) = engine.rows("from warehouse.marts.discrepancy_history where reconciliation = 'customers'")
            kept[row["resolution"]] = row["last_agreed"]
    assert [each["field"] for each in json.loads(kept[None])] == ["country", "email", "status"]
    assert kept["both sides agree"] is None


def test_the_base_of_a_conflict_outlives_the_nights_on_which_a_side_lacks_the_record():
    """Left moved to FR; then right was gone for a night, and is back as it was, while left has moved on to NL."""
    story = [
        (1, "write", CRM, ("country", "FR")), (2, "remove", BILLING), (3, "restore", BILLING), (3, "write", CRM, ("country", "NL")),
    ]  # fmt: skip
    row = said(story, nights=4)
    assert (row["cause"], row["stale_side"], row["base_value"]) == (CHANGED, "right", "DE")


def test_what_comes_anew_on_the_other_side_alone_still_has_its_base():
    story = [
        (1, "remove", CRM), (2, "restore", CRM), (2, "remove", BILLING), (3, "restore", BILLING), (3, "write", BILLING, ("country", "FR")),
    ]  # fmt: skip
    row = said(story, nights=4)
    assert (row["cause"], row["stale_side"], row["base_value"]) == (CHANGED, "left", "DE")


def test_what_was_on_neither_side_has_no_base():
    story = [(1, "remove", table) for table in (CRM, BILLING)] + [(2, "restore", table) for table in (CRM, BILLING)]
    row = said([*story, (2, "write", CRM, ("country", "FR"))], nights=3)
    assert (row["cause"], row["stale_side"], row["base_value"]) == (UNKNOWN, "unknown", None)


@pytest.mark.parametrize("table", [CRM, BILLING])
def test_a_key_that_stood_twice_was_nobodys_base(table):
    story = [(0, "copy", table, "{key}"), (1, "restore", table), (1, "write", table, ("country", "FR"))]
    row = said(story, nights=2)
    assert (row["cause"], row["stale_side"], row["base_value"], row["agreed_at"]) == (UNKNOWN, "unknown", None, None)


def test_a_record_that_stood_twice_was_not_created_since():
    """Nor is it told to be gone: which of the two it was, nobody knows."""
    row = said([(0, "copy", BILLING, "{key}"), (1, "remove", BILLING)], nights=2, field="")
    assert (row["cause"], row["stale_side"]) == (UNKNOWN, "unknown")


def test_a_word_that_is_mapped_anew_is_nobodys_change():
    """Both sides say what they said; it is the map that changed."""
    tables = agreeing(0)
    tables["crm"]["customers"][0]["status"] = "trial"
    with Engine(**LIFTED) as engine:
        night(engine, FIRST_NIGHT, tables)
        words = engine.rows("from snapshot.seeds.status_map")
        moved = ("crm", "customers", "trial")
        engine.seed("status_map", [row | ({"status": "paused"} if tuple(row.values())[:3] == moved else {}) for row in words])
        night(engine, FIRST_NIGHT + 24 * HOUR, tables)
        told = [(row.cause, row.stale_side) for row in read(engine).judgements.values()]
    assert told == [(UNKNOWN, "unknown")]


def test_a_word_that_is_mapped_at_last_is_judged_anew():
    tables, told = agreeing(0), []
    with Engine(**LIFTED) as engine:
        night(engine, FIRST_NIGHT, tables)
        tables["crm"]["customers"][0]["status"] = "frozen"
        words = engine.rows("from snapshot.seeds.status_map")
        more = [{"system": "crm", "table_name": "customers", "word": "frozen", "status": "paused"}]
        for number, known in enumerate((words, [*words, *more]), 1):
            engine.seed("status_map", known)
            night(engine, FIRST_NIGHT + number * 24 * HOUR, tables)
            told += [(row.cause, row.stale_side) for row in read(engine).judgements.values()]
    assert told == [(UNMAPPED, "unknown"), (CHANGED, "right")]


@pytest.mark.parametrize(
    ("emails", "causes"),
    [
        ({1: ("left", "bo@example.org"), 2: ("right", " BO@example.org")}, {1: TWO_KEYS, 2: TWO_KEYS}),
        ({1: ("left", "bo@example.org"), 2: ("right", "bo@example.org"), 3: ("right", "bo@example.org")}, dict.fromkeys((1, 2, 3), GONE)),
        ({1: ("left", "bo@example.org"), 2: ("left", "bo@example.org")}, dict.fromkeys((1, 2), GONE)),
        ({1: ("left", None), 2: ("right", None)}, dict.fromkeys((1, 2), GONE)),
        ({1: ("left", "bo@example.org"), 2: ("both", "bo@example.org")}, {1: GONE}),
    ],
    ids=["one and one", "a tie", "one side", "no e-mail", "a record that is on both sides"],
)
def test_one_record_under_two_keys(emails, causes):
    cases = {
        number: [
            *((0, "write", table, ("email", email)) for table in (CRM, BILLING)),
            *((1, "remove", table) for table, there in ((CRM, "right"), (BILLING, "left")) if side == there),
        ]
        for number, (side, email) in emails.items()
    }
    with checked(World(DAY, None, False, cases)) as engine:
        told = {int(each.key[1:-2]): one.cause for each, one in read(engine).judgements.items() if each.pair == "customers"}
    assert told == causes


def test_a_second_key_that_is_found_later_overrides():
    cases = {
        1: [(0, "remove", CRM), (0, "remove", BILLING), (1, "restore", CRM), (1, "write", CRM, ("email", "bo@example.org"))],
        2: [(0, "remove", CRM), (0, "remove", BILLING), (2, "restore", BILLING), (2, "write", BILLING, ("email", "bo@example.org"))],
    }
    for nights, causes in ((2, {"C1-7": CREATED}), (3, {"C1-7": TWO_KEYS, "C2-7": TWO_KEYS})):
        with checked(World(DAY * (nights - 1), None, False, cases)) as engine:
            assert {each.key: one.cause for each, one in read(engine).judgements.items() if each.pair == "customers"} == causes
