"""What people do in the two systems on an ordinary day. Each act is told to the sync, which may lose it."""

from datetime import datetime

from pipelines.simulate.people import PLANS
from pipelines.simulate.simulation import Simulation
from pipelines.simulate.world import Key, Row, with_status

A_DAY = {  # how often
    "sign_up": 1.6, "new_lead": 0.6, "win_lead": 0.4, "change_email": 2.0, "change_country": 1.0, "change_plan": 1.2, "change_amount": 1.2,
    "sell_more": 0.5, "end_contract": 0.4, "end_customer": 1.0, "come_back": 0.2, "pause": 0.1, "delete": 0.3, "touch": 4.0,
}  # fmt: skip


def sign_up(sim: Simulation, at: datetime, fault: str | None = None, **columns: str) -> str:
    """A customer with a contract, or two, made in the CRM."""
    customer = sim.people.customer(at) | columns
    contracts = [sim.people.contract(customer, at) for _ in range(sim.rng.choice([1, 1, 1, 2]))]
    sim.act(at, "crm", keyed(customer, *contracts), fault=fault)
    return customer["number"]


def new_lead(sim: Simulation, at: datetime) -> None:
    customer = sim.people.customer(at) | {"status": "lead"}
    sim.act(at, "crm", keyed(customer, sim.people.contract(customer, at) | {"status": "lead"}), there={})


def win_lead(sim: Simulation, at: datetime) -> None:
    """Only now billing hears of the customer."""
    if number := sim.pick(at, "lead", contracts=0):
        keys = sim.world.with_contracts("crm", number)
        whole = {key: sim.world.row("crm", key) | {"status": "active"} for key in keys}
        sim.act(at, "crm", with_status(keys, "active"), told=whole)


def change_email(sim: Simulation, at: datetime) -> None:
    """Also by the customer, where the bills are."""
    change(sim, at, sim.rng.choice(["crm", "crm", "billing"]), "email")


def change_country(sim: Simulation, at: datetime) -> None:
    change(sim, at, "crm", "country")


def change_plan(sim: Simulation, at: datetime) -> None:
    change(sim, at, "crm", "plan")


def change_amount(sim: Simulation, at: datetime) -> None:
    change(sim, at, "crm", "amount")


def change(sim: Simulation, at: datetime, system: str, column: str, number: str | None = None, fault: str | None = None) -> str | None:
    """A column of a customer or of its first running contract gets another value. Returns the customer's number."""
    number = number or sim.pick(at)
    key = number and sim.key_for(system, number, column)
    if not key:
        return None
    sim.act(at, system, {key: another(sim, sim.world.row(system, key), column)}, fault=fault)
    return number


def another(sim: Simulation, row: Row, column: str, unlike: Row | None = None) -> Row:
    """New values for a column; a plan has its price. `unlike`: not that row's value either."""
    while True:
        if column == "plan":
            plan = sim.rng.choice([plan for plan in PLANS if plan != row["plan"]])
            values = {"plan": plan, "amount": sim.people.price(plan, row["currency"], row["interval"], row["amount"])}
        elif column == "amount":
            values = {"amount": sim.people.price(row["plan"], row["currency"], row["interval"], row["amount"])}
        elif column == "country":
            values = {"country": sim.people.country(row["country"])}
        else:
            values = {"email": sim.people.email(row["name"], row["email"])}
        if all(unlike is None or unlike[name] != value for name, value in values.items()):
            return values


def sell_more(sim: Simulation, at: datetime) -> None:
    if number := sim.pick(at):
        sim.act(at, "crm", keyed(sim.people.contract(sim.world.row("crm", ("customers", number)), at)))


def end_contract(sim: Simulation, at: datetime) -> None:
    """Of a customer that has another one."""
    if (number := sim.pick(at, contracts=2)) and len(running := sim.running("crm", number)) > 1:
        sim.act(at, "crm", {running[0]: {"status": "ended"}})


def end_customer(sim: Simulation, at: datetime, number: str | None = None, fault: str | None = None) -> str | None:
    if number := number or sim.pick(at):
        sim.act(at, "crm", with_status(sim.world.with_contracts("crm", number), "ended"), fault=fault)
    return number


def come_back(sim: Simulation, at: datetime) -> None:
    if number := sim.pick(at, "ended", contracts=0):
        sim.act(at, "crm", with_status(sim.world.with_contracts("crm", number), "active"))


def pause(sim: Simulation, at: datetime) -> None:
    """The CRM has a word for a paused customer and none for a paused contract."""
    if number := sim.pick(at):
        running = sim.running("crm", number)
        sim.act(at, "crm", {("customers", number): {"status": "paused"}}, there=with_status(running, "paused"))
        sim.agenda.add(sim.later(at, 3), lambda then: resume(sim, then, number))


def resume(sim: Simulation, at: datetime, number: str) -> None:
    paused = [key for key in sim.world.with_contracts("billing", number) if sim.world.row("billing", key).get("status") == "paused"]
    if sim.status(number) == "paused":
        sim.act(at, "crm", {("customers", number): {"status": "active"}}, there=with_status(paused, "active"), fault="")


def delete(sim: Simulation, at: datetime, number: str | None = None, fault: str | None = None, system: str = "crm") -> str | None:
    """Mostly customers that have ended; deleted with all their contracts."""
    number = number or sim.pick(at, sim.rng.choice(["ended", "ended", "active"]), contracts=0)
    if number:
        sim.act(at, system, dict.fromkeys(sim.world.with_contracts(system, number)), fault=fault)
    return number


def touch(sim: Simulation, at: datetime) -> None:
    """Something is saved that no pair compares."""
    system = sim.rng.choice(["crm", "billing"])
    if number := sim.pick(at):
        key = sim.rng.choice(sim.world.with_contracts(system, number) or [("customers", number)])
        sim.act(at, system, {key: {}}, there={})


def keyed(customer_or_contract: Row, *contracts: Row) -> dict[Key, Row]:
    rows = (customer_or_contract, *contracts)
    return {("contracts" if "plan" in row else "customers", row["number"]): row for row in rows}
