"""From the list to the systems and back, by the commands: on the sample's 44, and on a simulated world whose truth is known.

HubSpot and Stripe are fakes on loopback that hold the records, and change them as their documentation says.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from conftest import World, new_world
from fake_api import WRITES, FakeApi, Request
from test_sources import HUBSPOT, STRIPE, TOKEN, exported

from pipelines.simulate.days import nights
from pipelines.simulate.simulation import Simulation

COLUMNS = "reconciliation,bucket,field,cause,response,operation,writes_to,system_of_record,least_runs,most_rows,most_share,note"
OPEN = "select reconciliation, bucket, field, record_key from marts.discrepancies where status = 'open'"
PLANNED = "select reconciliation, operation, target_system, count(*) from marts.fix_plan where not is_stopped group by all order by all"
PLANNED_IDS = "select discrepancy_id from marts.fix_plan where not is_stopped"
CURRENT = "select discrepancy_id, reconciliation, record_key, bucket, field from marts.discrepancies"
NIGHTS = 5
SEARCHED = re.compile(r"/(search|batch/read)([?]|$)")
LOGGED = "select outcome, verification, count(*) from marts.fix_log group by all order by all"


@dataclass
class House:
    """Two accounts, and a project of its own whose policies fix what they can."""

    world: World
    crm: FakeApi
    billing: FakeApi

    def run(self, *command: str, day: int):
        own = {"REQUESTS_PER_SECOND": "1000"}
        environment = {"TALLYSTICK_AS_OF": f"2026-03-{day:02}T03:00:00Z", "RUNTIME__REQUEST_BACKOFF_FACTOR": "0"}
        for fake, name, secret in ((self.crm, "hubspot", "ACCESS_TOKEN"), (self.billing, "stripe", "API_KEY")):
            environment |= fake.vendor.environment(fake, TOKEN)
            stated = own | {"CONNECTOR": name, secret: TOKEN}
            environment |= {f"TARGETS__{fake.vendor.system.upper()}__{setting}": value for setting, value in stated.items()}
        return self.world.run(*command, **environment)

    def trusted(self, day: int):
        ran = self.run("reconcile", day=day)
        assert ran.code == 0, ran.out + ran.err
        return ran

    def written(self) -> list[Request]:
        """A search is a POST too, and changes nothing."""
        asked = [*self.crm.requests, *self.billing.requests]
        return [request for request in asked if request.method in WRITES and not SEARCHED.search(request.path)]


@contextmanager
def house(folder: Path, project: Path, policies: list[str], exports: dict[str, dict[str, list[dict]]] | None = None) -> Iterator[House]:
    world = new_world(folder, project)
    (project / "seeds/response_policies.csv").write_text("\n".join([COLUMNS, *policies, ""]))
    crm, billing = (exports[system] if exports else exported(world.folder / system) for system in ("crm", "billing"))
    with FakeApi(HUBSPOT, TOKEN, tables=HUBSPOT.tables(crm)) as crm, FakeApi(STRIPE, TOKEN, tables=STRIPE.tables(billing)) as billing:
        yield House(world, crm, billing)


def test_the_samples_44_are_read_by_a_person_fixed_once_and_verified(tmp_path, project):
    """31 whose contracts ended in the CRM end in billing; 13 that were never in the CRM come there."""
    policies = [
        "contracts,conflict,status,unknown,fix,end,billing,crm,2,60,0.05,",
        "customers,right_only,,unknown,fix,create,crm,billing,2,60,0.05,",
    ]
    with house(tmp_path / "house", project, policies) as here:
        here.trusted(day=3)
        night_2 = {system: exported(Path(f"sample/night-2/{system}").resolve()) for system in ("crm", "billing")}
        here.crm.tables, here.billing.tables = HUBSPOT.tables(night_2["crm"]), STRIPE.tables(night_2["billing"])
        told = here.trusted(day=4)
        assert "fixes planned: 44, stopped: no_more_than_any_run_before" in told.out

        stopped = here.run("fix", "--apply", day=4)
        assert (stopped.code, here.written()) == (4, [])
        assert "44 planned, at most 0 in any run before" in stopped.out

        accepted = here.run("accept-plan", "--reason", "read one by one", "--by", "Ana", day=4)
        assert accepted.code == 0, accepted.err
        here.trusted(day=4)
        planned = [("contracts", "end", "billing", 31), ("customers", "create", "crm", 13)]
        assert here.world.query(PLANNED) == planned

        whole = here.billing.tables[STRIPE.agreements]
        here.billing.tables[STRIPE.agreements] = whole[: len(whole) // 2]
        cut = here.run("reconcile", day=5)
        assert cut.code == 4
        refused = here.run("fix", "--apply", day=5)
        assert (refused.code, here.written()) == (4, [])
        assert "every_pair_is_trusted" in refused.out
        refused = here.run("accept-plan", "--reason", "it is in a hurry", "--by", "Ana", day=5)
        assert refused.code == 2 and "every_pair_is_trusted can't be accepted" in refused.err
        here.billing.tables[STRIPE.agreements] = whole

        told = here.trusted(day=5)
        assert "no_wave: " in told.out, "what the first night listed nobody could tell from a wave: it is asked for again"
        here.run("accept-plan", "--reason", "as read yesterday", "--by", "Ana", day=5)
        here.trusted(day=5)
        shown = here.run("fix", day=5)
        assert (shown.code, here.written()) == (0, [])
        assert here.world.query(PLANNED) == planned
        before = set(here.world.query(OPEN))
        applied = here.run("fix", "--apply", day=5)
        assert applied.code == 0, applied.out + applied.err
        assert len(here.written()) == 44, applied.out
        assert here.world.query(LOGGED) == [("written", None, 44)]
        again = here.run("fix", "--apply", day=5)
        assert (again.code, len(here.written())) == (0, 44)

        last = here.trusted(day=6)
        assert "fixes of before: 44 verified, 0 still there" in last.out
        assert here.world.query(LOGGED) == [("written", "verified", 44)]
        assert here.world.query("select count(*) from marts.discrepancies where reconciliation = 'customers'") == [(0,)]
        gone = {row for row in before if row[0] == "customers" or row[2] == "status"}
        assert len(gone) == 44 + 31 and set(here.world.query(OPEN)) == before - gone


def test_a_simulated_world_converges_and_nothing_else_changes(tmp_path, project):
    """Every kind that a policy fixes is gone after the next trusted run; each other difference stands as it stood."""
    policies = [
        "customers,conflict,email,,fix,update,billing,crm,1,99,1,",
        "customers,conflict,country,,fix,update,crm,billing,1,99,1,",
        "contracts,conflict,amount,,fix,update,crm,billing,1,99,1,",
        "contracts,conflict,status,,fix,end,billing,crm,1,99,1,",
        "customers,right_only,,,fix,create,crm,billing,1,99,1,",
    ]
    played = list(nights(Simulation(11, customers=150), NIGHTS))
    with house(tmp_path / "house", project, policies, played[0].tables) as here:
        for day, night in enumerate(played, 1):
            here.crm.tables, here.billing.tables = HUBSPOT.tables(night.tables["crm"]), STRIPE.tables(night.tables["billing"])
            here.trusted(day=day)
        here.run("accept-plan", "--reason", "read one by one", "--by", "Ana", day=NIGHTS)
        here.trusted(day=NIGHTS)
        planned, before = set(here.world.query(PLANNED_IDS)), set(here.world.query(CURRENT))
        assert {row[:3] for row in here.world.query(PLANNED)} == {
            ("contracts", "end", "billing"), ("contracts", "update", "crm"), ("customers", "update", "billing")
        }  # fmt: skip
        applied = here.run("fix", "--apply", day=NIGHTS)
        assert applied.code == 0, applied.out + applied.err
        here.trusted(day=NIGHTS + 1)
        assert here.world.query(LOGGED) == [("written", "verified", len(planned))]
        after = set(here.world.query(CURRENT))
        gone = before - after
        ended = {key for key, *_ in here.world.query("select record_key from marts.fix_log where operation = 'end'")}
        customers = {deal["customer_number"] for deal in played[-1].tables["crm"]["deals"] if deal["contract_number"] in ended}
        also = {row for row in gone if row[1] == "customers" and row[2] in customers and row[4] == "status"}
        assert after <= before and {row[:1] for row in gone - also} == planned
        assert here.world.query("select count(*) from marts.discrepancies where response = 'fix'") == [(0,)]
