"""The three-way judgement, every combination there is: what both sides had on the nights before, what each has now, and when
it says it changed. One record a combination, all of a kind in one world of a few nights, against oracle_judge.py.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache
from itertools import product
from typing import NamedTuple

import oracle
import pytest
from engine import Engine
from judgements import Told, difference, judged, mismatches, night, read, written
from oracle import Identity
from oracle_judge import (
    BOTH_CHANGED,
    CAUSES,
    CHANGED,
    CREATED,
    ENDED,
    GONE,
    OTHER,
    OVERWRITTEN,
    TWO_KEYS,
    UNKNOWN,
    Judge,
    Judgement,
)
from test_oracle import FIRST_NIGHT, LIFTED, TABLES, agreeing

HOUR = timedelta(hours=1)
LONG_AGO = FIRST_NIGHT - 1000 * HOUR
EARLIER, MIDDLE, LAST = FIRST_NIGHT, FIRST_NIGHT + 24 * HOUR, FIRST_NIGHT + 48 * HOUR  # the trusted nights before
BETWEEN, NOW = FIRST_NIGHT + 72 * HOUR, FIRST_NIGHT + 96 * HOUR


class Kind(NamedTuple):
    """A field, and what the letters of a combination are in it, left and right. '-' is no record; a small letter one that has ended."""

    pair: str
    field: str
    letters: Mapping[str, tuple[str, str]]


def alike(**letters: str) -> dict[str, tuple[str, str]]:
    return {letter: (value, value) for letter, value in letters.items()}


ACTIVE, PAUSED, INACTIVE, NOT_MAPPED = ("active", "active"), ("paused", "paused"), ("churned", "canceled"), ("frozen", "frozen")
KINDS = {
    "text": Kind("customers", "country", alike(A="DE", B="FR", C="NL", Z="SE")),
    "status": Kind("customers", "status", {"A": ACTIVE, "Z": PAUSED, "B": INACTIVE, "U": NOT_MAPPED}),
    "status that had ended": Kind("customers", "status", {"A": INACTIVE, "Z": ACTIVE, "B": PAUSED, "U": NOT_MAPPED}),
    "amount": Kind(
        "contracts",
        "amount",
        {"A": ("100.00", "10000"), "N": ("100.01", "10001"), "B": ("200", "20000"), "Z": ("50.00", "5000"), "U": ("NaN", "NaN")},
    ),
    "date": Kind("contracts", "starts_on", alike(A="2026-01-01", B="2026-01-02", Z="2026-01-03", U="soon")),
}

AT_EVERY_TIME, IN_TOLERANCE = "text at every time", "amount in its tolerance"
KIND_OF = KINDS | {
    AT_EVERY_TIME: KINDS["text"],
    IN_TOLERANCE: Kind("contracts", "amount", {letter: KINDS["amount"].letters[letter] for letter in "ANB"}),
}
# An amount is judged as a date is, but for its tolerance: all of its combinations are for the sweep.
EVERY_KIND = [pytest.param(name, marks=pytest.mark.sweep if name == "amount" else ()) for name in KINDS]

MIRRORED_WORDS = {None: None} | dict((ACTIVE, PAUSED, INACTIVE, NOT_MAPPED))

AT_FIRST = (MIDDLE - 2 * HOUR, MIDDLE - 4 * HOUR)  # when left and right changed what they had on the first night: right led

# Both sides on the three trusted nights before, left then right; and, where it matters, when each changed before the last of them.
HISTORIES: dict[str, tuple[str, tuple[datetime | None, datetime | None]]] = {
    "agreed": ("AA AA AA", (LONG_AGO, LONG_AGO)),
    "agreed within the tolerance": ("AN AN AN", (LONG_AGO, LONG_AGO)),
    "agreed on another, left led": ("ZZ ZZ AA", (MIDDLE + 2 * HOUR, MIDDLE + 4 * HOUR)),
    "agreed on another, right led": ("ZZ ZZ AA", (MIDDLE + 4 * HOUR, MIDDLE + 2 * HOUR)),
    "agreed on another, changed at once": ("ZZ ZZ AA", (MIDDLE + 2 * HOUR, MIDDLE + 2 * HOUR)),
    "agreed on another, left at no known time": ("ZZ ZZ AA", (None, MIDDLE + 2 * HOUR)),
    "agreed on another, right at a time before": ("ZZ ZZ AA", (MIDDLE + 2 * HOUR, MIDDLE)),
    "agreed on another, left changed first": ("ZZ AZ AA", (MIDDLE + 4 * HOUR, MIDDLE + 2 * HOUR)),
    "agreed on another, right changed first": ("ZZ ZA AA", (MIDDLE + 2 * HOUR, MIDDLE + 4 * HOUR)),
    "agreed on another, both changed it first": ("ZZ BA AA", (MIDDLE + 2 * HOUR, MIDDLE + 4 * HOUR)),
    "differ since left changed": ("AA AA BA", (MIDDLE + 2 * HOUR, LONG_AGO)),
    "differ since right changed": ("AA AA AB", (LONG_AGO, MIDDLE + 2 * HOUR)),
    "differ since both changed": ("AA AA BZ", (MIDDLE + 2 * HOUR, MIDDLE + 4 * HOUR)),
    "differ since left took an older": ("ZZ AA ZA", (MIDDLE + 2 * HOUR, LONG_AGO)),
    "differ from the first": ("AB AB AB", (LONG_AGO, LONG_AGO)),
    "left can't be read": ("AA AA UA", (LONG_AGO, LONG_AGO)),
    "right can't be read": ("AA AA AU", (LONG_AGO, LONG_AGO)),
    "neither can be read": ("UU UU UU", (LONG_AGO, LONG_AGO)),
    "ended on both": ("AA AA aa", (MIDDLE + 2 * HOUR, MIDDLE + 4 * HOUR)),
    "ended on both, and differ": ("AA AA ab", (MIDDLE + 2 * HOUR, MIDDLE + 4 * HOUR)),
    "ended on left": ("AA AA aA", (MIDDLE + 2 * HOUR, LONG_AGO)),
    "ended on right": ("AA AA Aa", (LONG_AGO, MIDDLE + 2 * HOUR)),
    "on left alone": ("A- A- A-", (LONG_AGO, None)),
    "on right alone": ("-A -A -A", (None, LONG_AGO)),
    "came to left alone": ("-- -- A-", (LONG_AGO, None)),
    "came to right alone": ("-- -- -A", (None, LONG_AGO)),
    "on left alone, ended": ("a- a- a-", (LONG_AGO, None)),
    "on right alone, ended": ("-a -a -a", (None, LONG_AGO)),
    "on left alone, can't be read": ("U- U- U-", (LONG_AGO, None)),
    "gone from right": ("AA AA A-", (LONG_AGO, None)),
    "gone from left": ("AA AA -A", (None, LONG_AGO)),
    "gone from both": ("AA AA --", (None, None)),
    "never seen": ("-- -- --", (None, None)),
}  # fmt: skip
TIMES = {
    "before": LAST - HOUR,
    "as the last run": LAST,
    "after": LAST + 6 * HOUR,
    "never": None,
    "in the future": NOW + HOUR,
}
FEW_TIMES = ("before", "after", "never")


class Combination(NamedTuple):
    kind: str
    history: str
    left: str  # a letter
    right: str
    left_time: str  # of TIMES
    right_time: str
    created: str

    def __str__(self) -> str:
        times = f"left changed {self.left_time}, right changed {self.right_time}, created {self.created}"
        return f"{self.kind}: {self.history}; now {self.left}{self.right}, {times}"


class At(NamedTuple):
    """One side's record on one night."""

    letter: str
    updated_at: datetime | None
    created_at: datetime | None


@cache
def combinations(name: str, has_before: bool) -> list[Combination]:
    kind, told = KIND_OF[name], []
    times = TIMES if name in ("status", AT_EVERY_TIME) else ("before", "after")
    can_end = {letter.lower() for letter in "AB"} if kind.field != "status" else set()
    known = {*kind.letters, *can_end, "-", " "}
    histories = [history for history, (nights, _) in HISTORIES.items() if set(nights) <= known] if has_before else ["nothing"]
    now = [*kind.letters, *sorted(can_end)[:1], "-"]
    for history, left, right in product(histories, now, now):
        when = [times if letter != "-" else ["never"] for letter in (left, right)]
        created = times if "-" in (left, right) else ["never"]
        every = product(*when, created)
        told += [Combination(name, history, left, right, *each) for each in every if name == AT_EVERY_TIME or is_for_every_run(each)]
    return told


def is_for_every_run(times: tuple[str, ...]) -> bool:
    """A time on the edge of the run stands beside no other time: all of them together are for the sweep."""
    return len(set(times) - {"never"}) < 2 or set(times) <= set(FEW_TIMES)


def nights_of(one: Combination) -> list[tuple[At | None, At | None]]:
    """Both sides on the three nights before and now."""
    nights, changed = HISTORIES.get(one.history, ("", None))
    letters = [(night[0], night[1]) for night in nights.split()]
    told = [tuple(At(letter, LONG_AGO, LONG_AGO) for letter in letters[0])] if letters else []
    if letters:
        times = [LONG_AGO if was == letter else time for was, letter, time in zip(letters[0], letters[1], AT_FIRST, strict=True)]
        told.append(tuple(At(letter, time, LONG_AGO) for letter, time in zip(letters[1], times, strict=True)))
        told.append(tuple(At(letter, time, LONG_AGO) for letter, time in zip(letters[2], changed, strict=True)))
    told.append((At(one.left, TIMES[one.left_time], TIMES[one.created]), At(one.right, TIMES[one.right_time], TIMES[one.created])))
    return [tuple(None if at.letter == "-" else at for at in each) for each in told]


def add_customer(tables: dict, key: str, kind: Kind, left: At | None, right: At | None) -> None:
    sides = [("crm", 0, ("active", "churned"), left), ("billing", 1, ("active", "canceled"), right)]
    for system, side, (running, ended), at in sides:
        if at is None:
            continue
        value = kind.letters[at.letter.upper()][side]
        word = value if kind.field == "status" else ended if at.letter.islower() else running
        country = value if kind.field == "country" else "DE"
        row = {"customer_number": key, "email": None, "country": country, "updated_at": written(at.updated_at)}
        row["created_at"] = written(at.created_at)
        tables[system]["customers"].append(row | ({"status": word} if side == 0 else {}))
        if side == 1:
            subscription = dict.fromkeys(SUBSCRIPTION) | {"customer_number": key, "status": word, "updated_at": row["updated_at"]}
            tables[system]["subscriptions"].append(subscription)


def add_contract(tables: dict, key: str, kind: Kind, left: At | None, right: At | None) -> None:
    for side, at in enumerate((left, right)):
        if at is None:
            continue
        value = kind.letters[at.letter.upper()][side]
        row = {"contract_number": key, "customer_number": None, "plan": "basic", "currency": "EUR", "interval": "month"}
        row["updated_at"] = written(at.updated_at)
        amount = value if kind.field == "amount" else ("100", "10000")[side]
        date = value if kind.field == "starts_on" else "2026-01-01"
        if side == 0:
            word = "lost" if at.letter.islower() else "won"
            row |= {"stage": word, "amount": amount, "starts_on": date, "created_at": written(at.created_at)}
            tables["crm"]["deals"].append(row)
        else:
            word = "canceled" if at.letter.islower() else "active"
            tables["billing"]["subscriptions"].append(row | {"status": word, "amount_minor": amount, "started_at": date})


SUBSCRIPTION = ["contract_number", "customer_number", "plan", "currency", "interval", "updated_at", "status", "amount_minor", "started_at"]


def empty() -> dict[str, dict[str, list]]:
    """Both sides with the one record that no world is without."""
    return agreeing(0)


def laid_out(every: list[Combination], mirrored: bool = False) -> list[tuple[datetime, oracle.Tables]]:
    """The nights of all combinations at once. `mirrored`: what is left stands on the right, and the reverse."""
    clocks = [EARLIER, MIDDLE, LAST, NOW] if every[0].history in HISTORIES else [NOW]
    worlds = [empty() for _ in clocks]
    for number, one in enumerate(every, 1):
        kind = KIND_OF[one.kind]
        for tables, (left, right) in zip(worlds, nights_of(one), strict=True):
            add = add_customer if kind.pair == "customers" else add_contract
            add(tables, f"N{number}", kind, *((right, left) if mirrored else (left, right)))
    return list(zip(clocks, worlds, strict=True))


@cache
def judge_of(name: str, has_before: bool) -> Judge:
    pair = KIND_OF[name].pair
    return judged(laid_out(combinations(name, has_before)), pairs=[pair])[pair]


@cache
def told_of(name: str, between: str, mirrored: bool = False) -> Told:
    """Every combination of one kind by the models."""
    with Engine(**LIFTED) as engine:
        for as_of, tables in laid_out(combinations(name, between != "no run before"), mirrored):
            if as_of == NOW and between == "an untrusted night":
                night(engine, BETWEEN, misleading(tables), untrusted=TABLES)
            night(engine, as_of, tables)
        return read(engine)


def misleading(tables: oracle.Tables) -> oracle.Tables:
    """What both sides have now, but each record changed an hour ago; every other one, and what billing wrote, is missing."""
    changed = written(BETWEEN - HOUR)
    return {
        system: {table: [row | {"updated_at": changed} for row in rows[:: 1 if system == "crm" else 2]] for table, rows in each.items()}
        for system, each in tables.items()
    }


def named(name: str, has_before: bool, wrong: Mapping[Identity, str]) -> list[str]:
    """Each mismatch with the combination that it is of."""
    every, judge = combinations(name, has_before), judge_of(name, has_before)
    return [
        f"{every[int(each.key[1:]) - 1]} ({each.bucket} {each.field}, rule {judge.lines[each].rule if each in judge.lines else '?'}): {why}"
        for each, why in sorted(wrong.items())
        if each.pair == judge.pair and each.key.startswith("N")
    ]


@pytest.mark.parametrize("between", ["nothing", "no run before"])  # an untrusted night between: as nothing, below
@pytest.mark.parametrize("name", [*EVERY_KIND, IN_TOLERANCE, pytest.param(AT_EVERY_TIME, marks=pytest.mark.sweep)])
def test_every_combination(name, between):
    has_before = between != "no run before"
    judge = judge_of(name, has_before)
    wrong = named(name, has_before, mismatches(told_of(name, between), {judge.pair: judge}))
    assert not wrong, "\n".join([*wrong[:12], f"{len(wrong)} of {len(combinations(name, has_before))} combinations"])


# The table itself, by hand: what was, what is (all changed after the last run), what it means.
ROWS = [
    ("agreed", "BA", CHANGED, "right"),
    ("agreed", "AB", CHANGED, "left"),
    ("agreed", "BC", BOTH_CHANGED, "both"),
    ("agreed", "aB", CHANGED, "left"),
    ("agreed", "A-", GONE, "left"),
    ("agreed", "-A", GONE, "right"),
    ("agreed on another, left led", "AZ", OVERWRITTEN, "right"),
    ("agreed on another, left led", "ZA", CHANGED, "right"),
    ("agreed on another, right led", "ZA", OVERWRITTEN, "left"),
    ("agreed on another, right led", "AZ", CHANGED, "left"),
    ("agreed on another, changed at once", "ZA", UNKNOWN, "unknown"),
    ("agreed on another, left changed first", "AZ", OVERWRITTEN, "right"),
    ("agreed on another, both changed it first", "AZ", UNKNOWN, "unknown"),
    ("differ since left changed", "CB", CHANGED, "right"),
    ("differ since left changed", "CA", CHANGED, "right"),
    ("differ since left changed", "AB", UNKNOWN, "unknown"),
    ("differ since left changed", "BC", BOTH_CHANGED, "both"),
    ("differ since left changed", "B-", ENDED, "left"),
    ("differ since both changed", "ZB", BOTH_CHANGED, "both"),
    ("differ from the first", "AB", UNKNOWN, "unknown"),
    ("ended on both", "BA", CHANGED, "right"),
    ("ended on both, and differ", "AB", UNKNOWN, "unknown"),
    ("ended on right", "A-", ENDED, "left"),
    ("ended on left", "A-", ENDED, "left"),
    ("on left alone", "BA", CHANGED, "right"),
    ("on left alone", "AB", UNKNOWN, "unknown"),
    ("on left alone", "BC", UNKNOWN, "unknown"),
    ("on left alone", "A-", UNKNOWN, "unknown"),  # as on the first night of all, and kept
    ("came to left alone", "A-", CREATED, "right"),
    ("came to right alone", "AB", CHANGED, "left"),
    ("on left alone", "-A", UNKNOWN, "unknown"),
    ("on right alone, ended", "A-", UNKNOWN, "unknown"),
    ("gone from right", "A-", GONE, "left"),
    ("gone from both", "A-", CREATED, "right"),
    ("never seen", "-A", CREATED, "left"),
    ("never seen", "AB", UNKNOWN, "unknown"),
]


@pytest.mark.parametrize(("history", "now", "cause", "stale_side"), ROWS)
def test_the_oracle_follows_the_table(history, now, cause, stale_side):
    when = ["never" if letter == "-" else "after" for letter in now]
    one = Combination("text", history, *now, *when, "before" if "-" in now else "never")
    bucket = {"-": "right_only"}.get(now[0], {"-": "left_only"}.get(now[1], "conflict"))
    key = f"N{combinations('text', True).index(one) + 1}"
    found = judge_of("text", True).lines[Identity("customers", key, bucket, "country" if bucket == "conflict" else "")]
    assert found.judgement[:2] == (cause, stale_side)


CAME_BACK = "4b, a status that came back"
RULES = {
    "1", "2", "3", "3, as it was when it came", "4a", "4a, or it came back", "4b", "4b, nobody knows who led", CAME_BACK,
    "4, the other went back", "4c", "4c, back", "4d", "4d, written after", "4e",
    "6", "7, agreed", "7, differed or ended", "8, here alone", "8, on neither side", "9", "kept",
}  # fmt: skip
NOT_IN = {  # a status reads its ending as a value; a text can always be read
    "text": {"1", "2"},
    "status": {"2", "8, here alone", "4b"},
    "status that had ended": {"2", "7, agreed", "4b", "4a, or it came back"},
    "amount": {"1"},
    "date": {"1"},
}


@pytest.mark.parametrize("name", EVERY_KIND)
def test_the_combinations_reach_every_rule(name):
    """So that they can't become fewer unseen. Rule 5 and a base from which neither moved have tests of their own."""
    lines = [line for has_before in (True, False) for line in judge_of(name, has_before).lines.values()]
    assert {line.rule for line in lines} == RULES - NOT_IN[name]
    assert {line.judgement.stale_side for line in lines} == {"left", "right", "both", "unknown"}
    assert {line.judgement.is_since_exact for line in lines} == {True, False}
    assert all(line.judgement.cause in CAUSES for line in lines)


def test_the_combinations_reach_every_cause():
    in_every_run = [name for name in KINDS if name != "amount"]
    causes = {line.judgement.cause for name in in_every_run for line in judge_of(name, True).lines.values()}
    assert causes == CAUSES - {TWO_KEYS}
    assert sum(len(combinations(name, True)) for name in in_every_run) >= 20_000


@pytest.mark.parametrize("name", ["status", *(pytest.param(name, marks=pytest.mark.sweep) for name in KINDS if name != "status")])
def test_an_untrusted_night_between_changes_nothing(name):
    """No base, age, cause or sentence: neither of what stays, nor of what began in that night."""
    without, between = told_of(name, "nothing"), told_of(name, "an untrusted night")
    wrong = {each: difference(between.judgements.get(each), truth) for each, truth in without.judgements.items()}
    assert not named(name, True, {each: why for each, why in wrong.items() if why})[:12]
    assert between == without


@pytest.mark.parametrize("name", ["status", pytest.param("text", marks=pytest.mark.sweep)])
def test_both_sides_are_judged_alike(name):
    """What is left stands on the right, and the reverse: the stale side is the other one, and nothing else changes."""
    told, mirrored = told_of(name, "nothing").judgements, told_of(name, "nothing", True).judgements
    sides = {**OTHER, "both": "both", "unknown": "unknown", "left_only": "right_only", "right_only": "left_only", "conflict": "conflict"}
    expected = {
        each._replace(bucket=sides[each.bucket]): one._replace(stale_side=sides[one.stale_side], base_value=mirrored_base(name, one))
        for each, one in told.items()
        if each.pair == KIND_OF[name].pair
    }
    wrong = {each: difference(mirrored.get(each), truth) for each, truth in expected.items() if mirrored.get(each) != truth}
    assert not named(name, True, wrong)[:12]


def mirrored_base(name: str, one: Judgement) -> str | None:
    """Shown as left stated it, which now is the other system."""
    return one.base_value if name == "text" else MIRRORED_WORDS.get(one.base_value)


def nights_and_all_twice(engine: Engine, nights: Iterable[tuple[datetime, oracle.Tables]], **first: object) -> None:
    for as_of, tables in nights:
        night(engine, as_of, tables, **first)
        night(engine, as_of, tables)


@pytest.fixture(scope="module")
def few() -> list[tuple[datetime, oracle.Tables]]:
    every = combinations("status", True)
    return laid_out([one for one in every if (one.left_time, one.right_time) == ("after", "after") or one.created == "after"])


@pytest.fixture(scope="module")
def once(few) -> tuple[Told, Counter[tuple]]:
    with Engine(**LIFTED) as engine:
        for as_of, tables in few:
            night(engine, as_of, tables)
        return read(engine), agreed_values(engine)


@pytest.mark.parametrize("first", [{}, {"publish": False}], ids=["run twice", "killed and run again"])
def test_a_run_repeated_changes_no_judgement(few, once, first):
    with Engine(**LIFTED) as again:
        nights_and_all_twice(again, few, **first)
        assert (read(again), agreed_values(again)) == once
    assert all(once)


def agreed_values(engine: Engine) -> Counter[tuple]:
    rows = engine.rows(
        "select reconciliation, record_key, field, value, shown_value, agreed_until, led_by from warehouse.judge.agreed_values"
    )
    return Counter(tuple(row.values()) for row in rows)


# Generated worlds. In each case's story one field or two change night by night, on one side or both, and say when.
