"""What goes wrong in a world, beside the sync's own losses. Each picks its victim and plants one fault; None where nobody fits."""

from datetime import datetime, timedelta

from pipelines.simulate import life
from pipelines.simulate.simulation import FIRST_NIGHT, Simulation
from pipelines.simulate.sync import DAY, HOUR, LOST_WEBHOOK, MINUTE
from pipelines.simulate.truth import ENDED, REKEYED
from pipelines.simulate.world import Change, Decision, other, with_status

MANUAL, BY_BOTH, WRONG_ORDER = "manual change", "manual change on both sides", "wrong order"
MISSING_FIELD, NEW_WORD = "required field missing", "a new status word"
COLUMNS = ["email", "country", "plan", "amount"]
A_DAY = {
    "lost_creation": 0.1, "lost_change": 0.25, "lost_end": 0.12, "lost_deletion": 0.06, "by_hand": 0.3, "by_hand_ended": 0.06,
    "by_hand_deleted": 0.05, "by_both": 0.15, "replayed": 0.15, "overtaken": 0.12, "field_missing": 0.12, "rekeyed": 0.08,
    "new_word": 0.1, "ended_then_removed": 0.06, "half_finished_run": 0.05,
}  # fmt: skip
IN_BATCHES = ["half_finished_run"]


def lost_creation(sim: Simulation, at: datetime) -> str | None:
    return life.sign_up(sim, at, LOST_WEBHOOK)


def lost_change(sim: Simulation, at: datetime) -> str | None:
    return life.change(sim, at, sim.rng.choice(["crm", "crm", "billing"]), sim.rng.choice(COLUMNS), sim.pick_in_step(at), LOST_WEBHOOK)


def lost_end(sim: Simulation, at: datetime) -> str | None:
    return life.end_customer(sim, at, sim.pick_in_step(at), LOST_WEBHOOK)


def lost_deletion(sim: Simulation, at: datetime) -> str | None:
    return life.delete(sim, at, sim.pick_in_step(at), LOST_WEBHOOK)


def by_hand(sim: Simulation, at: datetime) -> str | None:
    """Billing is changed and the CRM is never told."""
    return life.change(sim, at, "billing", sim.rng.choice(COLUMNS), sim.pick_in_step(at), MANUAL)


def by_hand_ended(sim: Simulation, at: datetime) -> str | None:
    if number := sim.pick_in_step(at):
        sim.act(at, "billing", with_status(sim.running("billing", number), "ended"), fault=MANUAL)
    return number


def by_hand_deleted(sim: Simulation, at: datetime) -> str | None:
    return life.delete(sim, at, sim.pick_in_step(at), MANUAL, "billing")


def by_both(sim: Simulation, at: datetime) -> str | None:
    """Both sides are changed by hand, to different values: within hours, or days apart."""
    column, number = sim.rng.choice(COLUMNS), sim.pick_in_step(at)
    key = number and sim.key_for("crm", number, column)
    if not key:
        return None
    first = sim.rng.choice(["crm", "billing"])
    sim.act(at, first, {key: life.another(sim, sim.world.row(first, key), column)}, fault=BY_BOTH)

    def second(then: datetime) -> None:
        here, there = sim.world.row(other(first), key), sim.world.row(first, key)
        if here and there and sim.truth.differences_of([key]):
            sim.act(then, other(first), {key: life.another(sim, here, column, there)}, fault=BY_BOTH)

    sim.agenda.add(at + sim.rng.choice([HOUR, 5 * HOUR, 2 * DAY, 3 * DAY]), second)
    return number


def replayed(sim: Simulation, at: datetime) -> str | None:
    """An event of some days ago is delivered again, after both had agreed on something newer."""
    lately = [arrived for arrived in sim.arrived if 30 * HOUR < at - arrived.at < 8 * DAY and arrived.at > FIRST_NIGHT]
    old = [arrived for arrived in lately if is_still_so(sim, arrived.change)]
    if not old:
        return None
    arrived = sim.rng.choice(old)
    sim.apply(at, Change(arrived.before.system, arrived.before.rows, arrived.before.decision, WRONG_ORDER))
    return sim.owner(next(iter(arrived.change.rows)))


def is_still_so(sim: Simulation, change: Change) -> bool:
    """Nothing has changed since, and both sides agree."""
    keys = list(change.rows)
    has_it = all((sim.world.row(change.system, key) or {}).items() >= values.items() for key, values in change.rows.items())
    is_of_status = any("status" in values for values in change.rows.values())
    return has_it and not is_of_status and sim.owner(keys[0]) not in sim.set_aside and not sim.truth.differences_of(keys)


def overtaken(sim: Simulation, at: datetime) -> str | None:
    """Of two changes of one field the second arrives first. The first one's event waits over a night; seldom both are of one evening."""
    column, number = sim.rng.choice(COLUMNS), sim.pick_in_step(at)
    key = number and sim.key_for("crm", number, column)
    if not key or sim.set_aside & {number}:
        return None
    sim.set_aside.add(number)  # until it is over, so that nothing else stands in its order
    evening = at + (DAY - HOUR * (at.hour - 20) - MINUTE * at.minute) % DAY
    next_day = (evening + 13 * HOUR) if sim.rng.random() < 0.98 else evening + HOUR
    base = dict(sim.world.row("crm", key))
    older = life.another(sim, base, column)
    newer = life.another(sim, base | older, column, base)
    decided, came = Decision(evening, "crm"), next_day + timedelta(hours=sim.rng.randrange(2, 6))

    def first(then: datetime) -> None:
        sim.apply(then, Change("crm", {key: older}, decided))

    def second(then: datetime) -> None:
        sim.act(then, "crm", {key: newer}, fault="", delay=10 * MINUTE)

    def late(then: datetime) -> None:
        sim.set_aside.discard(number)
        sim.apply(then, Change("billing", {key: older}, decided, WRONG_ORDER))

    for when, do in ((evening, first), (next_day, second), (came, late)):
        sim.agenda.add(when, do)
    return number


def field_missing(sim: Simulation, at: datetime) -> str | None:
    """Billing wants a country and an e-mail; without one the customer never arrives, until somebody fills it in."""
    column = sim.rng.choice(["country", "email"])
    number = life.sign_up(sim, at, MISSING_FIELD, **{column: ""})
    key = ("customers", number)

    def filled_in(then: datetime) -> None:
        row = sim.world.row("crm", key)
        if row and not row[column]:
            value = sim.people.country() if column == "country" else sim.people.email(row["name"])
            whole = {each: sim.world.row("crm", each) for each in sim.world.with_contracts("crm", number)}
            sim.act(then, "crm", {key: {column: value}}, told=whole | {key: row | {column: value}}, fault="")

    sim.set_aside.add(number)
    if sim.rng.random() < 0.7:
        sim.agenda.add(sim.later(at, 4), filled_in)
        return None
    return number


def rekeyed(sim: Simulation, at: datetime) -> str | None:
    """Made again in billing under another number, with the same e-mail; the original is gone."""
    number = sim.pick_in_step(at)
    if not number:
        return None
    again = f"C-9{number[3:]}"
    row = sim.world.row("billing", ("customers", number)) | {"number": again, "created_at": at}
    moved = {("contracts", contract): {"customer": again} for contract in sim.world.contracts_of("billing", number)}
    sim.set_aside |= {number, again}
    sim.act(at, "billing", {("customers", number): None, ("customers", again): row, **moved}, fault=REKEYED)

    def known_there_too(then: datetime) -> None:
        here = sim.world.row("crm", ("customers", number)) | {"number": again}
        moved = {("contracts", contract): {"customer": again} for contract in sim.world.contracts_of("crm", number)}
        sim.set_aside.discard(again)
        sim.apply(then, Change("crm", {("customers", number): None, ("customers", again): here, **moved}, Decision(at, "billing")))

    if sim.rng.random() < 0.7:
        sim.agenda.add(sim.later(at, 4), known_there_too)
    return None


def new_word(sim: Simulation, at: datetime) -> str | None:
    """A status that seeds/status_map.csv does not know."""
    number = sim.pick_in_step(at)
    if not number:
        return None
    running = sim.running("billing", number)
    system, keys, word = sim.rng.choice(
        [("crm", [("customers", number)], "dormant"), ("crm", running[:1], "in renewal"), ("billing", running, "on_hold")]
    )
    sim.act(at, system, with_status(keys, word), there={}, fault=NEW_WORD)
    return number


def ended_then_removed(sim: Simulation, at: datetime) -> str | None:
    """A customer whose end was lost some days ago is deleted where it has ended."""
    for number, row in sim.world.tables["crm", "customers"].items():
        found = sim.truth.differences_of([("customers", number)])
        is_old = any(d.cause == ENDED and d.stale_side == "right" and at - d.out_of_step_since > 2 * DAY for *_, d in found)
        if row["status"] == "ended" and is_old and number not in sim.set_aside:
            return life.delete(sim, at, number, LOST_WEBHOOK)
    return None


def half_finished_run(sim: Simulation, at: datetime) -> str | None:
    """From some point of the day on nothing is carried over, until the night is past."""
    begins = at.replace(hour=14) + timedelta(hours=sim.rng.randrange(6))
    sim.sync.down = (begins, (at + DAY).replace(hour=2))
    return None
