"""Two systems that serve the same customers. Both hold the same columns here; exports.py gives each its own names and words.

One mutator, `apply`, so that whoever keeps the truth sees every change and nothing else.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

SYSTEMS = {"left": "crm", "right": "billing"}
FIELDS = {"customers": ("status", "email", "country"), "contracts": ("status", "plan", "amount", "currency", "interval", "starts_on")}
MEANINGS = {"active": "active", "paused": "paused", "ended": "inactive", "lead": "inactive"}
KNOWN = {*MEANINGS.values()}
OWN_COLUMNS = {("crm", "customers"): ("status", "owner")}  # the other system has no such column

Row = dict[str, Any]
Key = tuple[str, str]  # table, number; the tables are named like the pairs


class Decision(NamedTuple):
    """What somebody decided, and where. Of two values the one that was decided later should stand."""

    at: datetime
    system: str


@dataclass(frozen=True)
class Change:
    """Rows that one system writes at once, by key; None: the row is removed. A part of a row changes one that is there."""

    system: str
    rows: dict[Key, Row | None]
    decision: Decision
    fault: str = ""  # what keeps it from the other system, or what it is itself


@dataclass(frozen=True)
class Record:
    """One side's record of a pair, as it is compared."""

    fields: Row
    updated_at: datetime

    @property
    def is_in_scope(self) -> bool:
        return self.fields["status"] != "inactive"


def other(system: str) -> str:
    return "billing" if system == "crm" else "crm"


def agree(field: str, left: Any, right: Any) -> bool:
    """A status that nobody mapped agrees with nothing, not even with itself."""
    return left == right and not (field == "status" and left not in KNOWN)


class World:
    def __init__(self) -> None:
        self.tables: dict[tuple[str, str], dict[str, Row]] = {(s, t): {} for s in SYSTEMS.values() for t in FIELDS}
        self.owned: dict[tuple[str, str], dict[str, None]] = {}  # system and customer → numbers of its contracts

    def row(self, system: str, key: Key) -> Row | None:
        return self.tables[system, key[0]].get(key[1])

    def contracts_of(self, system: str, customer: str) -> list[str]:
        return list(self.owned.get((system, customer), {}))

    def with_contracts(self, system: str, customer: str) -> list[Key]:
        """The keys of a customer and of its contracts, as far as they are there."""
        here = [("customers", customer)] if self.row(system, ("customers", customer)) else []
        return here + [("contracts", number) for number in self.contracts_of(system, customer)]

    def apply(self, at: datetime, change: Change) -> list[Key]:
        """Writes what can be written and returns the keys of the records that it may have moved."""
        touched: dict[Key, None] = {}
        for key, values in change.rows.items():
            rows, (table, number) = self.tables[change.system, key[0]], key
            owner = rows.get(number, {}).get("customer")
            if values is None:
                rows.pop(number, None)
            elif number in rows:
                rows[number] |= values | {"updated_at": at}
            elif "number" in values:
                rows[number] = {"created_at": at} | values | {"updated_at": at}
            else:
                continue
            touched[key] = None
            if table == "contracts":
                touched |= {("customers", customer): None for customer in self.owners(change.system, number, owner)}
        return list(touched)

    def owners(self, system: str, contract: str, before: str | None) -> list[str]:
        """The customers that a contract was and is of, once the index knows."""
        now = self.tables[system, "contracts"].get(contract, {}).get("customer")
        self.owned.get((system, before), {}).pop(contract, None)
        if now:
            self.owned.setdefault((system, now), {})[contract] = None
        return [customer for customer in (before, now) if customer]

    def record(self, system: str, key: Key) -> Record | None:
        row = self.row(system, key)
        if row is None:
            return None
        if key[0] == "contracts":
            status = MEANINGS.get(row["status"], row["status"])
            return Record({name: row.get(name) for name in FIELDS["contracts"]} | {"status": status}, row["updated_at"])
        person = {"email": row["email"].lower() or None, "country": row["country"] or None}
        if system == "crm":
            return Record({"status": MEANINGS.get(row["status"], row["status"])} | person, row["updated_at"])
        owned = [self.tables["billing", "contracts"][number] for number in self.contracts_of("billing", key[1])]
        latest = max([row["updated_at"], *(contract["updated_at"] for contract in owned)])
        return Record({"status": subscribed([contract["status"] for contract in owned])} | person, latest)


def subscribed(statuses: list[str]) -> str:
    """Billing's status of a customer: active if any subscription is; else unmapped if any is; else paused if any is."""
    meant = [MEANINGS.get(status, status) for status in statuses]
    unmapped = [status for status in meant if status not in KNOWN]
    if "active" in meant:
        return "active"
    return (unmapped or [status for status in meant if status == "paused"] or ["inactive"])[0]


def with_status(keys: list[Key], status: str) -> dict[Key, Row | None]:
    return {key: {"status": status} for key in keys}


def mirrored(system: str, rows: dict[Key, Row | None]) -> dict[Key, Row | None]:
    """What `system` tells the other one of its rows: all but the columns that only it has."""
    told = {}
    for key, row in rows.items():
        own = (*OWN_COLUMNS.get((system, key[0]), ()), "created_at", "updated_at")
        there = row and {column: value for column, value in row.items() if column not in own}
        if there or row is None:
            told[key] = there
    return told
