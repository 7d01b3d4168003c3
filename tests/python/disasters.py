"""Half of a side vanishes, and what else must never become a write: generated disasters, and policies that would write all of them."""

import hashlib
import random
from copy import deepcopy
from typing import NamedTuple

from conftest import house
from engine import Engine, Row, project

Tables = dict[str, dict[str, list[dict]]]

RECORDS = 240
TABLES = {
    ("crm", "customers"): ("customer_number", {"status": "churned", "email": None, "country": None}),
    ("crm", "deals"): ("contract_number", {"stage": "lost", "plan": None, "amount": None, "starts_on": None}),
    ("billing", "customers"): ("customer_number", {"email": None, "country": None}),
    ("billing", "subscriptions"): ("contract_number", {"status": "canceled", "plan": None, "amount_minor": None, "interval": None}),
}
OTHER_VALUE = {"email": "wrong@example.org", "country": "FR", "plan": "basic", "amount": "99.00", "amount_minor": "9900"}
SHARES = {
    "all": 1,
    "all but one in twenty": 0.95,
    "79 %": 0.79,
    "half": 0.5,
    "a third": 0.33,
    "21 %": 0.21,
    "19 %": 0.19,
    "15 %": 0.15,
    "11 %": 0.11,
    "a wave": 0.08,
    "5 %": 0.05,
}
ORDERS = {
    "by hash": lambda number: hashlib.md5(str(number).encode(), usedforsecurity=False).digest(),
    "by prefix": lambda number: number,
    "the last pages": lambda number: -number,
    "the latest": lambda number: (number * 37 % RECORDS, number),  # the order in which they were made
}


class Disaster(NamedTuple):
    what: str  # vanish, vanish on both sides, come twice, come under new keys, lose or change a column
    table: tuple[str, str]
    column: str = ""
    share: str = "half"
    order: str = "by hash"

    def numbers(self) -> set[int]:
        """Of the records that are struck."""
        return set(sorted(range(RECORDS), key=ORDERS[self.order])[: round(SHARES[self.share] * RECORDS)])

    def strike(self, tables: Tables) -> Tables:
        struck, tables = self.numbers(), deepcopy(tables)
        systems = ("crm", "billing") if self.what == "vanish on both sides" else (self.table[0],)
        for system in systems:
            for table in tables[system] if self.what == "vanish on both sides" else (self.table[1],):
                tables[system][table] = [row for each in tables[system][table] for row in self.become(each, struck)]
        return tables

    def has_struck(self, row: Row) -> bool:
        """Whether a row of a plan is of a record that was struck."""
        return int(row["record_key"][-4:]) in self.numbers()

    def become(self, row: dict, struck: set[int]) -> list[dict]:
        key = TABLES[self.table][0]
        if number_of(row) not in struck:
            return [row]
        if self.what.startswith("vanish"):
            return []
        if self.what == "come twice":
            return [row, dict(row)]
        if self.what == "come under new keys":
            return [row, row | {key: f"X{row[key]}"} | ({"subscription_id": f"X{row[key]}"} if "subscription_id" in row else {})]
        lost = TABLES[self.table][1][self.column]
        return [row | {self.column: OTHER_VALUE[self.column] if self.what == "change a column" else lost}]


def number_of(row: dict) -> int:
    return int((row.get("contract_number") or row["customer_number"])[-4:])


def disasters() -> list[Disaster]:
    """Every kind, in an order that is the same each time and mixes them."""
    found = [Disaster("vanish", table, "", share, order) for table in TABLES for share in SHARES for order in ORDERS]
    found += [Disaster("vanish on both sides", ("crm", "customers"), "", share, order) for share in SHARES for order in ORDERS]
    for table, (_, columns) in TABLES.items():
        found += [Disaster(what, table, "", share) for what in ("come twice", "come under new keys") for share in SHARES]
        found += [Disaster("lose a column", table, column, share) for column in columns for share in SHARES]
        found += [Disaster("change a column", table, column, share) for column in columns if column in OTHER_VALUE for share in SHARES]
    return random.Random(5).sample(found, len(found))


# What every kind of difference could be fixed by, in both directions, whether its cause is known or not.
FIELDS = {"customers": ("status", "email", "country"), "contracts": ("status", "plan", "amount", "currency", "interval", "starts_on")}
FIXES = [(one_sided, ending) for one_sided in ("end", "delete") for ending in ("end", "update")]


def policies(written: str, one_sided: str, ending: str, **caps: float | None) -> list[Row]:
    """Every difference is a fix in the system `written`; a record that stands there alone is ended or deleted, another one created."""
    other = {"crm": "billing", "billing": "crm"}[written]
    said = {"response": "fix", "writes_to": written, "system_of_record": other, "least_runs": 1} | caps
    told = []
    for pair, fields in FIELDS.items():
        for cause in (None, "unknown", "agreed before, gone now"):
            for bucket, holding in (("left_only", "crm"), ("right_only", "billing")):
                operation = "create" if holding != written else one_sided
                told.append(said | {"reconciliation": pair, "bucket": bucket, "cause": cause, "operation": operation})
            for field in fields:
                operation = ending if field == "status" else "update"
                told.append(said | {"reconciliation": pair, "bucket": "conflict", "field": field, "cause": cause, "operation": operation})
    return told


FIRST_DRIFT = 2  # what the first two runs list can't be told from a wave


def world(nights: int) -> Tables:
    """The house on the night after so many: an eighth of it has ended, and since the third a difference or two came every night."""
    tables = house(range(RECORDS))
    for number in range(0, RECORDS, 8):
        tables["crm"]["customers"][number]["status"] = "churned"
        tables["crm"]["deals"][number]["stage"] = "lost"
        tables["billing"]["subscriptions"][number]["status"] = "canceled"
    for night in range(FIRST_DRIFT, nights + 1):
        tables["billing"]["customers"][3 + 8 * night]["country"] = "BE"
        if night % 2:
            tables["crm"]["deals"][5 + 8 * night]["amount"] = "12.00"
    return tables


def is_drift(row: Row) -> bool:
    """Whether a row of the plan is of what came night by night, and of no disaster."""
    return (int(row["record_key"][-4:]) % 8, row["field"]) in ((3, "country"), (5, "amount"))


class Past:
    """What an engine's next run reads of those before it, to go back to: one history for many nights that follow it."""

    def __init__(self, engine: Engine):
        self.engine = engine
        self.tables = {
            relation: engine.connection.execute(f"from {relation}").to_arrow_table() for relation in [*project().history, *project().before]
        }

    def come_back(self) -> None:
        for relation, kept in self.tables.items():  # noqa: B007 - DuckDB finds `kept` by its name
            self.engine.connection.execute(f"truncate {relation}; insert into {relation} from kept")
