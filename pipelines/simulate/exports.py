"""The two systems' exports, in their own columns and words, as text; and as folders that a pull reads."""

import csv
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.simulate.people import EXPONENTS
from pipelines.simulate.world import Row, World

if TYPE_CHECKING:
    from pipelines.simulate.days import Night

Tables = dict[str, dict[str, list[dict[str, str]]]]  # system → table → rows
TABLES_OF = {
    "customers": [("crm", "customers"), ("billing", "customers"), ("billing", "subscriptions")],
    "contracts": [("crm", "deals"), ("billing", "subscriptions")],
}
WORDS = {  # a word that is not here is one that nobody mapped, and is exported as it is
    "customers": {"ended": "churned"},
    "deals": {"active": "won", "lead": "open", "ended": "terminated"},
    "subscriptions": {"ended": "canceled"},
}


def as_exported(world: World) -> Tables:
    return {
        "crm": {
            "customers": [crm_customer(row) for row in world.tables["crm", "customers"].values()],
            "deals": [deal(row) for row in world.tables["crm", "contracts"].values()],
        },
        "billing": {
            "customers": [billing_customer(row) for row in world.tables["billing", "customers"].values()],
            "subscriptions": [subscription(row) for row in world.tables["billing", "contracts"].values()],
        },
    }


def crm_customer(row: Row) -> dict[str, str]:
    return {
        "customer_number": row["number"], "company": row["name"], "email": row["email"], "status": word("customers", row),
        "country": row["country"], "owner": row["owner"], "created_at": text(row["created_at"]), "updated_at": text(row["updated_at"]),
    }  # fmt: skip


def deal(row: Row) -> dict[str, str]:
    return {
        "contract_number": row["number"], "customer_number": row["customer"], "stage": word("deals", row), "plan": row["plan"],
        "amount": str(Decimal(row["amount"]).scaleb(-EXPONENTS[row["currency"]])), "currency": row["currency"],
        "interval": row["interval"], "starts_on": str(row["starts_on"]), "created_at": text(row["created_at"]),
        "updated_at": text(row["updated_at"]),
    }  # fmt: skip


def billing_customer(row: Row) -> dict[str, str]:
    return {
        "customer_number": row["number"], "name": row["name"], "email": row["email"], "country": row["country"],
        "created_at": text(row["created_at"]), "updated_at": text(row["updated_at"]),
    }  # fmt: skip


def subscription(row: Row) -> dict[str, str]:
    return {
        "subscription_id": "sub_" + row["number"][2:].replace("-", ""), "customer_number": row["customer"],
        "contract_number": row["number"], "status": word("subscriptions", row), "plan": row["plan"], "amount_minor": str(row["amount"]),
        "currency": row["currency"], "interval": row["interval"], "started_at": f"{row['starts_on']}T09:00:00Z",
        "canceled_at": text(row["updated_at"]) if row["status"] == "ended" else "", "updated_at": text(row["updated_at"]),
    }  # fmt: skip


def word(table: str, row: Row) -> str:
    return WORDS[table].get(row["status"], row["status"])


def text(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def write(night: "Night", folder: Path) -> None:
    """One folder a system, as SOURCES__…__PATH wants it."""
    for system, tables in night.tables.items():
        (folder / system).mkdir(parents=True, exist_ok=True)
        records = {table: night.declared[system, table] for table in tables}
        manifest = json.dumps({"exported_at": text(night.as_of), "records": records})
        (folder / system / "manifest.json").write_text(manifest + "\n", encoding="utf-8")
        for table, rows in tables.items():
            with (folder / system / f"{table}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, rows[0], lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
