"""Somebody finds what is out of step and sets it right by hand; now and then the same thing goes wrong again."""

from datetime import datetime

from pipelines.simulate import life
from pipelines.simulate.simulation import Simulation
from pipelines.simulate.sync import LOST_WEBHOOK
from pipelines.simulate.truth import CREATED, OPPOSITE, Difference
from pipelines.simulate.world import KNOWN, OWN_COLUMNS, SYSTEMS, Change, Decision, Key, Row, mirrored

AGAIN = 0.2


def mend(sim: Simulation, at: datetime, customer: str) -> None:
    """All that is out of step in a customer and its contracts, which come first: billing's status of a customer follows from them."""
    if customer in sim.set_aside:
        return
    removes = sim.rng.random() < 0.5
    mended = []
    for key in sim.keys_of(customer):
        for _, bucket, name, difference in sim.truth.differences_of([key]):
            done = mend_field(sim, at, key, name, difference) if bucket == "conflict" else mend_record(sim, at, key, difference, removes)
            mended += [name] if done else []
    columns = [name for name in mended if name in ("email", "country", "plan", "amount")]
    if columns and sim.rng.random() < AGAIN:
        sim.agenda.add(sim.later(at, 2), lambda then: life.change(sim, then, "crm", columns[0], customer, LOST_WEBHOOK))


def mend_field(sim: Simulation, at: datetime, key: Key, name: str, difference: Difference) -> bool:
    """The stale side gets the other's value; where nobody can say which is stale, the side that somebody thinks is."""
    cell = sim.truth.pairings[key].cells[name]
    wrong = difference.stale_side
    if wrong not in SYSTEMS:
        unmapped = [side for side, value in cell.values.items() if name == "status" and value not in KNOWN]
        wrong = (unmapped or [sim.rng.choice(["left", "right"])])[0]
    right = OPPOSITE[wrong]
    value = cell.values[right]
    if name == "status":
        if (wrong, key[0]) == ("right", "customers") or (wrong, value) == ("left", "paused"):
            return False  # follows from the contracts, or has no word there
        value = {"inactive": "ended"}.get(value, value)
    sim.apply(at, Change(SYSTEMS[wrong], {key: {name: value or ""}}, cell.versions[right]))
    return True


def mend_record(sim: Simulation, at: datetime, key: Key, difference: Difference, removes: bool) -> bool:
    """The record is made where it is missing, or removed where it is left over."""
    has_it = next(iter(sim.truth.pairings[key].sides))
    system, missing_in = SYSTEMS[has_it], SYSTEMS[OPPOSITE[has_it]]
    if removes and difference.cause != CREATED:
        rows: dict[Key, Row | None] = {key: None}
        sim.apply(at, Change(system, rows, Decision(at, system)))
        return True
    row = mirrored(system, {key: sim.world.row(system, key)})[key]
    own = {"status": "active", "owner": "Ana Ruiz"} if (missing_in, key[0]) in OWN_COLUMNS else {}
    sim.apply(at, Change(missing_in, {key: row | own}, Decision(at, system)))
    return True
