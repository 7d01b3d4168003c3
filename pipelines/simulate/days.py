"""The world night by night. Each fault comes once early on, so that a short world has them all; then by chance."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipelines.simulate import faults, life
from pipelines.simulate.exports import TABLES_OF, Tables, as_exported
from pipelines.simulate.mending import mend
from pipelines.simulate.simulation import FIRST_NIGHT, Simulation
from pipelines.simulate.sync import DAY
from pipelines.simulate.world import FIELDS, Change, Decision, mirrored

FORCED = [name for name in faults.A_DAY if name not in faults.IN_BATCHES]
FORCED_A_DAY = 2
OLD_DIFFERENCES = ["country", "plan"]  # older than the first night
MENDED = 0.7


@dataclass(frozen=True)
class Night:
    """What is exported, and how many records the manifests declare; a table that is cut holds fewer."""

    number: int
    as_of: datetime
    tables: Tables
    declared: dict[tuple[str, str], int]
    trusted: list[str]  # the pairs whose tables are whole


def nights(sim: Simulation, count: int) -> Iterator[Night]:
    """Plays one day after the other, and stops at each night's exports."""
    begin(sim, FIRST_NIGHT)
    for number in range(1, count + 1):
        as_of = FIRST_NIGHT + (number - 1) * DAY
        plan(sim, number, as_of - DAY)
        sim.agenda.run(as_of)
        tables = as_exported(sim.world)
        declared = {(system, table): len(rows) for system, each in tables.items() for table, rows in each.items()}
        if number in sim.cut:
            system, table = sim.cut[number]
            tables[system][table] = tables[system][table][: declared[system, table] * 3 // 4]
        trusted = [pair for pair in FIELDS if sim.cut.get(number) not in TABLES_OF[pair]]
        for pair in trusted:
            sim.witness.look(pair, as_of)
        yield Night(number, as_of, tables, declared, trusted)


def begin(sim: Simulation, first_night: datetime, old_differences: Iterable[str] = OLD_DIFFERENCES) -> None:
    """Customers of the last three years, in step but for a few."""
    sim.unforced = sim.rng.sample(FORCED, len(FORCED))
    made = sorted(sim.people.between(first_night - 1100 * DAY, first_night - 5 * DAY) for _ in range(sim.customers))
    for at in made:
        customer = sim.people.customer(at)
        contracts = [sim.people.contract(customer, at) for _ in range(sim.rng.choice([1, 1, 1, 2]))]
        status = sim.rng.choices(["active", "ended", "lead"], [80, 12, 8])[0]
        rows = {key: row | {"status": status} for key, row in life.keyed(customer, *contracts).items()}
        sim.apply(at, Change("crm", rows, Decision(at, "crm")))
        if status != "lead":
            sim.apply(at + DAY, Change("billing", mirrored("crm", rows), Decision(at, "crm")))
    for column in old_differences:
        life.change(sim, first_night - 3 * DAY, "crm", column, sim.pick_in_step(first_night), "before the first night")


def plan(sim: Simulation, night: int, morning: datetime) -> None:
    """What happens between `morning` and the night with this number."""
    for at, customer in sim.went_wrong:
        if customer and sim.rng.random() < MENDED:
            sim.agenda.add(sim.later(at, 4), lambda then, customer=customer: mend(sim, then, customer))
    sim.went_wrong.clear()
    for name, rate in life.A_DAY.items():
        for _ in range(times(sim, rate)):
            sim.agenda.add(moment(sim, morning), lambda at, name=name: getattr(life, name)(sim, at))
    if night == 1:
        return  # what goes wrong before anything was seen can't be judged
    forced = [sim.unforced.pop() for _ in range(min(FORCED_A_DAY, len(sim.unforced)))] if night > 3 else []
    drawn = [name for name, rate in faults.A_DAY.items() for _ in range(times(sim, rate)) if not (sim.quiet and name in faults.IN_BATCHES)]
    for name in forced + drawn:
        sim.agenda.add(moment(sim, morning), lambda at, name=name: strike(sim, at, name))
    if sim.wave and night > sim.wave.night:
        swell(sim, morning)


def strike(sim: Simulation, at: datetime, name: str) -> None:
    sim.went_wrong.append((at, getattr(faults, name)(sim, at)))


def swell(sim: Simulation, morning: datetime) -> None:
    """More than usual happens in the slice that fails."""
    for _ in range(sim.wave.changes):
        at = moment(sim, morning)
        if sim.wave.column == "created_at":
            sim.agenda.add(at, lambda at: life.sign_up(sim, at))
            continue
        column = {"plan": "amount", "country": "email"}[sim.wave.column]
        table = {"plan": "contracts", "country": "customers"}[sim.wave.column]
        numbers = [
            n for n, row in sim.world.tables["crm", table].items() if (row[sim.wave.column], row["status"]) == (sim.wave.value, "active")
        ]
        key = (table, sim.rng.choice(numbers))
        sim.agenda.add(at, lambda at, key=key, column=column: revise(sim, at, key, column))


def revise(sim: Simulation, at: datetime, key: tuple[str, str], column: str) -> None:
    if row := sim.world.row("crm", key):
        sim.act(at, "crm", {key: life.another(sim, row, column)}, fault=None)


def times(sim: Simulation, rate: float) -> int:
    return int(rate) + (sim.rng.random() < rate % 1)


def moment(sim: Simulation, morning: datetime) -> datetime:
    return morning + timedelta(seconds=sim.rng.randrange(60, 86340))
