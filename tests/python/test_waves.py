"""The arithmetic of the early warning on made-up history: the wave's count model, slices, the sync's lag, and money by currency.

Each test fills the tables that a model reads and runs the model's compiled SQL alone, so that 200 nights take seconds.
"""

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import jinja2
import pyarrow
import pytest
from engine import Engine, project

from pipelines.settings import ROOT, project_vars

MODELS = {model.name: model for model in project().models}
FIRST_NIGHT = datetime(2026, 3, 3, 3, tzinfo=UTC)
DAY = timedelta(days=1)
THRESHOLDS = project_vars()["thresholds"]


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        yield engine


def put(engine: Engine, relation: str, columns: str, rows: list[tuple]) -> None:
    """A table of these rows in place of what stood there; `columns` as in create table."""
    engine.connection.execute(f"create or replace table {relation} ({columns})")
    if rows:
        given = pyarrow.table([list(cells) for cells in zip(*rows, strict=True)], [str(place) for place, _ in enumerate(rows[0])])
        engine.connection.register("given", given)
        engine.connection.execute(f"insert into {relation} from given")


def made(engine: Engine, *names: str) -> list[dict]:
    """Makes these models of what stands there, and returns the rows of the last."""
    for name in names:
        engine.connection.execute(f"create or replace {MODELS[name].kind} {MODELS[name].relation} as {MODELS[name].sql}")
    return engine.rows(f"from {MODELS[names[-1]].relation}")


class Listings:
    """Nights of nothing but counts: {pair: {(bucket, field): listed}}. The models judge them and their judgement becomes history."""

    def __init__(self, engine: Engine, **thresholds: float) -> None:
        self.engine, self.thresholds, self.seq, self.as_of = engine, THRESHOLDS | thresholds, 0, FIRST_NIGHT - DAY

    def night(self, listed: dict[str, dict[tuple[str, str], int]], after: timedelta = DAY, untrusted: tuple[str, ...] = ()) -> dict:
        """The pairs' judgement as a whole, and each kind's: (pair, bucket, field) → row of `waves`, both None for the whole."""
        self.seq += 1
        self.as_of += after
        run_id = f"{self.seq:06}"
        put(self.engine, "snapshot.trust.this_run", "run_id varchar, run_seq integer, as_of timestamptz", [(run_id, self.seq, self.as_of)])
        verdicts = [(pair, "not trustworthy" if pair in untrusted else "trusted") for pair in listed]
        put(self.engine, "snapshot.trust.verdicts", "reconciliation varchar, verdict varchar", verdicts)
        columns = ", ".join(f"{name} double" for name in self.thresholds)
        put(
            self.engine,
            "snapshot.trust.pairs",
            f"reconciliation varchar, {columns}",
            [(pair, *self.thresholds.values()) for pair in listed],
        )
        kinds = [(pair, *kind, count) for pair, of in listed.items() if pair not in untrusted for kind, count in of.items()]
        put(self.engine, "snapshot.judge.drift_tonight", "reconciliation varchar, bucket varchar, field varchar, listed bigint", kinds)
        judged = {(row["reconciliation"], row["bucket"], row["field"]): row for row in made(self.engine, "listing_runs", "waves")}
        self.engine.connection.execute(
            f"""
            insert into published.marts.drift_daily by name
            select '{run_id}' as run_id, * exclude (expected_listed, wave_probability) from snapshot.judge.waves where bucket is not null;
            insert into published.marts.runs by name
            select run_id, run_seq, as_of, verdicts.reconciliation, verdict,
                any_value(listed) filter (bucket is null and verdict = 'trusted') as listed, bool_or(is_wave) as has_wave
            from snapshot.trust.verdicts as verdicts cross join snapshot.trust.this_run
            left join snapshot.judge.waves as waves on waves.reconciliation = verdicts.reconciliation
            group by all
            """
        )
        return judged


ONE = ("conflict", "status")


def nights(engine: Engine, *counts: int, **thresholds: float) -> dict:
    """The last night's row of the kind ONE, after nights that listed `counts`."""
    engine.connection.execute("truncate published.marts.runs; truncate published.marts.drift_daily")
    listings = Listings(engine, **thresholds)
    return [listings.night({"pair": {ONE: count}}) for count in counts][-1]["pair", *ONE]


def test_a_first_list_is_the_inventory_and_no_wave(engine):
    first = nights(engine, 44)
    assert (first["expected_listed"], first["wave_probability"], first["is_wave"]) == (None, None, None)


def test_a_second_run_has_nothing_to_be_judged_by_and_the_third_has(engine):
    listings = Listings(engine)
    judged = [listings.night({"pair": {ONE: count}})["pair", *ONE]["is_wave"] for count in (44, 1, 40)]
    assert judged == [None, None, True]


def test_a_flood_after_one_quiet_night_is_a_wave_and_a_handful_is_not(engine):
    assert nights(engine, 44, 0, 20)["is_wave"] is True
    assert nights(engine, 44, 0, 6)["is_wave"] is False


def test_under_five_is_no_wave_however_quiet_it_was(engine):
    assert nights(engine, 44, *[0] * 20, 4)["is_wave"] is False
    assert nights(engine, 44, *[0] * 20, 5)["is_wave"] is True


def test_less_than_twice_as_many_is_no_wave_however_sure(engine):
    busy = nights(engine, 0, *[100_000] * 20, 199_000, least_spread=1e-4)
    assert busy["wave_probability"] < 1e-6 and busy["is_wave"] is False
    assert nights(engine, 0, *[100_000] * 20, 201_000, least_spread=1e-4)["is_wave"] is True


def test_what_is_expected_grows_with_the_hours_since_the_last_trusted_run(engine):
    listings = Listings(engine)
    for count in (44, *[4] * 10):
        listings.night({"pair": {ONE: count}})
    untrusted = listings.night({"pair": {ONE: 50}}, untrusted=("pair",))
    assert untrusted == {}, "an untrusted night is not judged"
    after = listings.night({"pair": {ONE: 12}}, after=2 * DAY)["pair", *ONE]
    assert after["expected_listed"] == pytest.approx(3 * 40.5 / 10, abs=1e-5)
    assert after["is_wave"] is False
    at_once = listings.night({"pair": {ONE: 0}}, after=timedelta(minutes=5))["pair", *ONE]
    assert at_once["expected_listed"] == pytest.approx(52.5 / 13 / 24, abs=1e-5), "as if an hour had passed"


def test_a_wave_is_not_what_the_next_night_is_measured_by(engine):
    listings = Listings(engine)
    judged = [listings.night({"pair": {ONE: count}})["pair", *ONE]["is_wave"] for count in (44, *[1] * 10, *[30] * 4)]
    assert judged[-4:] == [True] * 4


def test_a_level_that_lasts_becomes_the_rule_again(engine):
    """Four weeks of waves leave nothing to judge by; then the level is history like any other."""
    listings = Listings(engine)
    judged = [listings.night({"pair": {ONE: count}})["pair", *ONE]["is_wave"] for count in (44, *[1] * 10, *[30] * 31)]
    assert judged[11:39] == [True] * 28
    assert judged[39:] == [None, False, False]


def test_a_kind_that_is_new_is_measured_by_the_nights_without_it(engine):
    listings = Listings(engine)
    for count in (44, *[2] * 10):
        listings.night({"pair": {ONE: count}})
    judged = listings.night({"pair": {ONE: 2, ("left_only", ""): 8}})
    assert judged["pair", "left_only", ""]["is_wave"] is True
    assert judged["pair", "left_only", ""]["expected_listed"] == pytest.approx(0.05)
    assert judged["pair", *ONE]["is_wave"] is False


def test_many_kinds_that_rise_a_little_are_a_wave_of_the_pair(engine):
    listings = Listings(engine)
    kinds = [("conflict", name) for name in "abcdef"]
    for count in (9, *[1] * 20):
        listings.night({"pair": dict.fromkeys(kinds, count)})
    judged = listings.night({"pair": dict.fromkeys(kinds, 4)})
    assert judged["pair", None, None]["is_wave"] is True
    assert [judged["pair", *kind]["is_wave"] for kind in kinds] == [False] * 6


def test_runs_from_before_this_was_counted_are_no_history(engine):
    """A warehouse of an older version knows no `listed`: its nights are not nights on which nothing was listed."""
    listings = Listings(engine)
    for count in (44, 1, 1, 1):
        listings.night({"pair": {ONE: count}})
    engine.connection.execute("update published.marts.runs set listed = null; truncate published.marts.drift_daily")
    assert [listings.night({"pair": {ONE: count}})["pair", *ONE]["is_wave"] for count in (44, 1, 1)] == [None, None, False]


# Mean news a night of each kind of a pair, and how far the nights' means spread: 0 is Poisson.
MEANS = {("conflict", "status"): 0.2, ("conflict", "email"): 1, ("left_only", ""): 3, ("right_only", ""): 8}
SPREADS = {"poisson": 0, "uneven": 0.25, "bursty": 0.5}


def drawn(chance: random.Random, mean: float, spread: float) -> int:
    if spread:
        mean = chance.gammavariate(1 / spread, mean * spread)
    count, product, limit = 0, chance.random(), math.exp(-mean)
    while product > limit:
        count, product = count + 1, product * chance.random()
    return count


def false_waves(engine: Engine, seeds: range) -> dict[str, int]:
    """Of 200 quiet nights those on which a pair has a wave. A pair a spread and seed, all judged at once."""
    chances = {f"{name} {seed}": (random.Random(f"{name} {seed}"), spread) for name, spread in SPREADS.items() for seed in seeds}
    listings, found = Listings(engine), dict.fromkeys(chances, 0)
    for _ in range(200):
        news = {pair: {kind: drawn(chance, mean, spread) for kind, mean in MEANS.items()} for pair, (chance, spread) in chances.items()}
        judged = listings.night(news)
        for pair in {pair for (pair, *_), row in judged.items() if row["is_wave"]}:
            found[pair] += 1
    return found


def test_200_quiet_nights_have_at_most_two_false_waves(engine):
    assert max((found := false_waves(engine, range(3))).values()) <= 2, found


@pytest.mark.sweep
def test_200_quiet_nights_have_at_most_two_false_waves_as_a_rule(engine):
    """Over many seeds: on average half of one, and more than two in one of twenty pairs at most."""
    found = false_waves(engine, range(40)).values()
    assert sum(found) / len(found) < 0.5
    assert sum(waves > 2 for waves in found) <= len(found) / 20


def chance_of_at_least(engine: Engine, cases: list[tuple[int, float, float]]) -> list[float]:
    """The macro's own SQL over (count, expected, shape)."""
    macro = (ROOT / "macros/chance_of_at_least.sql").read_text()
    sql = jinja2.Template(macro + "{{ chance_of_at_least('count', 'expected', 'shape') }}").render()
    put(
        engine,
        "snapshot.judge.cases",
        "place integer, count bigint, expected double, shape double",
        [(i, *case) for i, case in enumerate(cases)],
    )
    return [row["chance"] for row in engine.rows(f"select {sql} as chance from snapshot.judge.cases order by place")]


def test_the_tail_is_exact(engine):
    """Against sums of fractions."""
    cases = [(count, expected, shape) for count in (0, 1, 2, 5, 17, 60) for expected in (0.125, 1, 6.5, 40) for shape in (0.5, 1, 2, 7.25)]
    for case, chance in zip(cases, chance_of_at_least(engine, cases), strict=True):
        count, (expected, shape) = case[0], map(Fraction, case[1:])
        term, below = Fraction(1), Fraction(0)  # without the power of the first term, which is irrational
        for i in range(count):
            below += term
            term *= (shape + i) / (i + 1) * expected / (shape + expected)
        assert chance == pytest.approx(1 - float(below) * float(shape / (shape + expected)) ** float(shape), abs=1e-9), case


def test_the_tail_is_exact_for_a_hundred_thousand(engine):
    """With a whole shape k, n or more before the k-th end are fewer than k ends among n + k - 1: a short sum instead of a long one."""
    cases = [(count, expected, shape) for count in (1_000, 50_000, 100_000) for expected in (700, 48_000, 99_000) for shape in (1, 3, 20)]
    for case, chance in zip(cases, chance_of_at_least(engine, cases), strict=True):
        count, expected, shape = case
        trials, end = count + shape - 1, shape / (shape + expected)
        logarithms = [
            math.lgamma(trials + 1) - math.lgamma(i + 1) - math.lgamma(trials - i + 1) + i * math.log(end) + (trials - i) * math.log1p(-end)
            for i in range(shape)
        ]
        assert chance == pytest.approx(math.fsum(map(math.exp, logarithms)), abs=1e-8), case


def sliced(engine: Engine, news: dict[str | None, int], population: dict[str | None, int]) -> dict[str | None, dict]:
    """drift_slices of news and all records by plan: value → row."""
    records = [value for value, count in news.items() for _ in range(count)]
    rows = [("contracts", f"K-{i}", [{"slice": "plan", "value": value}]) for i, value in enumerate(records)]
    put(engine, "snapshot.trust.this_run", "run_id varchar", [("000001",)])
    put(engine, "snapshot.judge.news", "reconciliation varchar, record_key varchar, slices struct(slice varchar, value varchar)[]", rows)
    counted = [("contracts", "plan", value, count) for value, count in population.items()]
    put(engine, "snapshot.judge.slice_populations", "reconciliation varchar, slice varchar, value varchar, records bigint", counted)
    return {row["value"]: row for row in made(engine, "sliced_news", "drift_slices")}


def test_a_slice_by_hand(engine):
    rows = sliced(engine, {"team": 12, "basic": 2}, {"team": 280, "basic": 620, None: 100})
    team, basic = rows["team"], rows["basic"]
    assert (team["support"], team["news"], team["share"], team["population_share"]) == (12, 14, 12 / 14, 0.28)
    assert team["lift"] == pytest.approx(12 / 14 / 0.28)
    by_hand = 2 * (12 * math.log(12 / 3.92) + 2 * math.log(2 / 10.08) + 268 * math.log(268 / 276.08) + 718 * math.log(718 / 709.92))
    assert team["g_squared"] == pytest.approx(by_hand)
    assert (team["rank"], team["is_over_represented"]) == (1, True)
    assert (basic["rank"], basic["is_over_represented"]) == (2, False)
    assert basic["lift"] < 1 and basic["g_squared"] > 3


@pytest.mark.parametrize(
    ("news", "population", "is_over_represented"),
    [
        pytest.param({"a": 5, "b": 1}, {"a": 50, "b": 950}, True, id="five"),
        pytest.param({"a": 4}, {"a": 50, "b": 950}, False, id="four"),
        pytest.param({"a": 601, "b": 399}, {"a": 4_000, "b": 6_000}, True, id="1.5 times its share"),
        pytest.param({"a": 590, "b": 410}, {"a": 4_000, "b": 6_000}, False, id="less than 1.5 times"),
        pytest.param({"a": 6, "b": 4}, {"a": 350, "b": 650}, False, id="1.7 times, and as good as chance"),
        pytest.param({None: 12, "b": 2}, {None: 50, "b": 950}, True, id="blank"),
        pytest.param({"a": 14}, {"a": 1_000}, False, id="all records are alike"),
    ],
)
def test_a_slice_is_over_represented_past_its_limits(engine, news, population, is_over_represented):
    value = next(iter(news))
    assert sliced(engine, news, population)[value]["is_over_represented"] is is_over_represented


def test_the_more_values_are_tried_the_more_one_has_to_stand_out(engine):
    few = {"a": 15, "b": 15}
    many = {"a": 15} | {f"b{i}": 5 for i in range(40)}
    assert sliced(engine, few, {"a": 1_000, "b": 3_800})["a"]["is_over_represented"] is True
    alike = sliced(engine, many, {"a": 240} | {f"b{i}": 225 for i in range(40)})["a"]
    assert alike["lift"] > 2 and 9.3 < alike["g_squared"] < 9.2 + 2 * math.log(41)
    assert alike["is_over_represented"] is False


def test_a_slice_holds_at_least_its_news(engine):
    """Where the sides disagree on the slice's own column, the population may know the record under the other value."""
    rows = sliced(engine, {"a": 6}, {"b": 100})
    assert (rows["a"]["population_share"], rows["a"]["is_over_represented"]) == (0.06, True)


def news_of(engine: Engine, waves: list[tuple]) -> dict[str, list[str]]:
    """The news of a run that listed four differences of three records: key → the slices it is told apart by."""
    listed = [
        ("contracts", "K-1", "conflict", "plan", "changed here, never arrived there", "000002"),
        ("contracts", "K-1", "conflict", "amount", "changed here, never arrived there", "000002"),
        ("contracts", "K-2", "left_only", "", "created here, never arrived there", "000002"),
        ("contracts", "K-3", "conflict", "amount", "unknown", "000002"),
        ("contracts", "K-4", "conflict", "amount", "unknown", "000001"),
        ("contracts", "K-5", "conflict", "amount", "unknown", None),
    ]
    history = "reconciliation varchar, record_key varchar, bucket varchar, field varchar, cause varchar, listed_in_run varchar"
    slices = [{"slice": name, "value": "x"} for name in ("plan", "currency", "creation week")]
    put(engine, "snapshot.trust.this_run", "run_id varchar", [("000002",)])
    put(engine, "warehouse.marts.discrepancy_history", history, listed)
    put(engine, "snapshot.judge.waves", "reconciliation varchar, bucket varchar, field varchar, is_wave boolean", waves)
    compared = [("contracts", row[1], slices) for row in listed]
    put(
        engine,
        "snapshot.compare.comparisons",
        "reconciliation varchar, record_key varchar, slices struct(slice varchar, value varchar)[]",
        compared,
    )
    return {row["record_key"]: [slice_["slice"] for slice_ in row["slices"]] for row in made(engine, "news")}


def test_a_record_is_not_told_apart_by_what_its_own_difference_says(engine):
    """Neither by the field in which it differs, nor, where it is new, by the week in which it was made."""
    assert news_of(engine, [("contracts", None, None, False)]) == {
        "K-1": ["currency", "creation week"],
        "K-2": ["plan", "currency"],
        "K-3": ["plan", "currency", "creation week"],
    }


def test_the_news_of_a_wave_is_of_its_kinds_alone(engine):
    amounts = [("contracts", "conflict", "amount", True), ("contracts", "left_only", "", False), ("contracts", None, None, True)]
    assert news_of(engine, amounts).keys() == {"K-1", "K-3"}
    as_a_whole = [("contracts", "conflict", "amount", False), ("contracts", None, None, True)]
    assert news_of(engine, as_a_whole).keys() == {"K-1", "K-2", "K-3"}
    elsewhere = [("customers", "conflict", "amount", True), ("contracts", None, None, False)]
    assert news_of(engine, elsewhere).keys() == {"K-1", "K-2", "K-3"}


HISTORY = (
    "reconciliation varchar, resolution varchar, is_since_exact boolean, out_of_step_since timestamptz, arrived_at timestamptz,"
    " lag_hours double, last_seen_at timestamptz"
)


def advised(engine: Engine, hours: list[float], lag: float = 24, others: list[tuple] = ()) -> dict:
    """sync_lag after arrivals that took so long, beside rows that are none."""
    since = FIRST_NIGHT
    arrivals = [("p", "both sides agree", True, since, since + timedelta(hours=taken), 99, since) for taken in hours]
    put(engine, "warehouse.marts.discrepancy_history", HISTORY, [*arrivals, *others])
    put(engine, "snapshot.trust.pairs", "reconciliation varchar", [("p",)])
    put(engine, "snapshot.compare.comparisons", "reconciliation varchar, lag_hours double", [("p", lag)] * 2)
    (row,) = made(engine, "sync_lag")
    return row


def test_the_lag_learnt_by_hand(engine):
    row = advised(engine, [float(hour) for hour in range(1, 101)], lag=34)
    assert (row["arrivals"], row["median_hours"], row["longest_hours"], row["configured_hours"]) == (100, 50.5, 100, 34)
    assert (row["p90_hours"], row["p99_hours"]) == (pytest.approx(90.1), pytest.approx(99.01))
    assert row["explanation"].startswith("66 of 100 arrivals (66.0 %) took longer than the 34 h")


def test_what_somebody_mended_days_later_is_no_arrival_of_the_sync(engine):
    row = advised(engine, [20.0] * 30 + [72.0] + [72.1, *[133.0] * 40], lag=24)
    assert (row["arrivals"], row["mended"], row["longest_hours"], row["advice"]) == (31, 41, 72, "as configured")
    assert row["explanation"].endswith("; 41 more came after 3 times that, as what was mended")
    row = advised(engine, [133.0] * 40, lag=24)
    assert (row["arrivals"], row["mended"], row["advice"]) == (0, 40, "not enough arrivals yet")


@pytest.mark.parametrize(
    ("hours", "lag", "advice"),
    [
        pytest.param([], 24, "not enough arrivals yet", id="none"),
        pytest.param([30] * 19, 24, "not enough arrivals yet", id="19"),
        pytest.param([30] * 20, 24, "too short", id="20 late"),
        pytest.param([20] * 95 + [30] * 5, 24, "as configured", id="5 in 100 late"),
        pytest.param([20] * 94 + [30] * 6, 24, "too short", id="6 in 100 late"),
        pytest.param([24] * 100, 24, "as configured", id="on the hour is in time"),
        pytest.param([2] * 49, 24, "as configured", id="49 fast ones do not shorten it"),
        pytest.param([2] * 50, 24, "too long", id="50 fast ones do"),
        pytest.param([12] * 50, 24, "as configured", id="half of the lag is not under it"),
        pytest.param([2] * 97 + [20] * 3, 24, "as configured", id="what 3 in 100 need stays"),
        pytest.param([2] * 60, 4.5, "too long", id="a lag of hours and minutes"),
    ],
)
def test_advice_on_the_lag(engine, hours, lag, advice):
    assert advised(engine, hours, lag)["advice"] == advice


def test_only_what_arrived_and_began_at_a_known_time_teaches_the_lag(engine):
    since, late = FIRST_NIGHT, FIRST_NIGHT + 30 * DAY
    others = [
        ("p", "gone from both sides", True, since, late, 24, since),
        ("p", "both sides agree", False, since, late, 24, since),
        ("p", "both sides agree", True, since, None, 24, since),
        ("p", None, True, since, None, 24, since),
        ("q", "both sides agree", True, since, late, 24, since),
    ]
    row = advised(engine, [1.0] * 25, others=others)
    assert (row["arrivals"], row["longest_hours"]) == (25, 1)


def test_values_are_never_added_across_currencies(engine):
    columns = "reconciliation varchar, cause varchar, record_key varchar, currency varchar, status varchar, value_at_risk decimal(38, 8)"
    rows = [
        ("contracts", "unknown", "K-1", "EUR", "open", 100),
        ("contracts", "unknown", "K-1", "EUR", "open", 100),
        ("contracts", "agreed before, gone now", "K-1", "EUR", "open", 100),
        ("contracts", "unknown", "K-2", "EUR", "open", 1),
        ("contracts", "unknown", "K-3", "USD", "open", 10),
        ("contracts", "unknown", "K-4", "USD", "in_flight", 1000),
        ("contracts", "unknown", "K-4", "USD", "quarantined", 5),
        ("contracts", "unknown", "K-5", None, "open", 7),
        ("customers", "unknown", "C-1", None, "open", None),
    ]
    put(engine, "warehouse.marts.discrepancies", columns, rows)
    assert {tuple(row.values()) for row in made(engine, "values_at_risk")} == {
        ("contracts", "open", "unknown", "EUR", 3, 2, 101),
        ("contracts", "open", "agreed before, gone now", "EUR", 1, 1, 100),
        ("contracts", "open", "unknown", "USD", 1, 1, 10),
        ("contracts", "quarantined", "unknown", "USD", 1, 1, 5),
        ("contracts", "open", "unknown", None, 1, 1, None),
        ("customers", "open", "unknown", None, 1, 1, None),
    }
