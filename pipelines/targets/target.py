"""What writes to a system: one class a connector, `[targets.<system>]` says which and with which key of its own."""

from dataclasses import dataclass, field
from importlib import import_module
from typing import ClassVar, Protocol

import dlt

from pipelines import settings
from pipelines.failures import BadConfiguration
from pipelines.sources.words import refuse_unknown
from pipelines.stated import Stated

# Each connector's class, and the system it can be; None is any.
CONNECTORS = {
    "chargebee": ("Chargebee", "billing"),
    "files": ("Files", None),
    "hubspot": ("HubSpot", "crm"),
    "pipedrive": ("Pipedrive", "crm"),
    "salesforce": ("Salesforce", "crm"),
    "sql": ("Sql", None),
    "stripe": ("Stripe", "billing"),
}
# Beside them stand the system's tables.
OF_A_TARGET = {
    *("connector", "base_url", "requests_per_second", "credentials", "tables", "path"),
    *("access_token", "api_key", "api_token", "client_id", "client_secret", "site"),
    *("customers_are", "deals_are", "currency"),
}


@dataclass(frozen=True)
class Write:
    """One intended change of one record. What it is to become is text, as the target's system would state it."""

    idempotency_key: str
    reconciliation: str
    operation: str  # update, create, end, delete
    record_key: str
    field: str
    from_value: str | None
    to_value: str | None
    ids: dict[str, list[str]] = field(default_factory=dict)  # table of the target → its own ids of this record's rows, as read again
    record: dict[str, str | None] = field(default_factory=dict)  # create: the record as the system of record has it, column by column
    run_id: str = ""  # whose plan it is
    key: str = ""  # the name of the key's column, on both sides alike
    stated_key: str | None = None  # as the target itself states it; None where it has no such record


class Refused(Exception):
    """The system said no, in the words of the first argument; nothing was written."""


class NoAnswer(Exception):
    """Nobody knows whether it was written. No more is sent to this target."""


class Unavailable(Exception):
    """The system takes nothing now, why says the first argument; nothing was written, and no more is sent to it."""


@dataclass(frozen=True)
class TargetSettings(Stated):
    section: ClassVar[str] = "targets"

    def tables_of(self, reconciliation: str) -> list[str]:
        """Of this system in that pair; the first holds one row a record."""
        pair = settings.project_vars()["reconciliations"][reconciliation]
        return next(side["tables"] for side in (pair["left"], pair["right"]) if side["system"] == self.system)

    def refuse_unknown_words(self) -> None:
        """Raises BadConfiguration where a settings file says what no target reads."""
        tables = settings.needed_columns(self.system)
        refuse_unknown(f"targets.{self.system}", OF_A_TARGET.union(tables))
        refuse_unknown(self.place("tables"), tables)


class Target(Protocol):
    is_idempotent: bool  # whether sending one idempotency key twice writes once, for creates too

    def __init__(self, settings: TargetSettings): ...

    def refuses(self, write: Write) -> str | None:
        """Why this system can't do it; None where it can. Asks nobody; the write's ids and record are as read again by now."""

    def write(self, write: Write) -> str:
        """What the system answered. Raises Refused, NoAnswer or Unavailable."""


def can_repeat(target: Target, write: Write) -> bool:
    """Whether sending it twice writes once: a record made twice is two records, anything else once more changes nothing."""
    return target.is_idempotent or write.operation != "create"


def target_of(system: str) -> Target:
    """The target that `[targets.<system>] connector` names. Raises BadConfiguration where there is none: nothing is written by default."""
    stated = TargetSettings(system)
    stated.refuse_unknown_words()
    name = dlt.config.get(f"targets.{system}.connector", str)
    if name is None:
        raise BadConfiguration(f"Fixes are planned for {system}, and [targets.{system}] names no connector that writes to it.")
    if name not in CONNECTORS:
        raise BadConfiguration(f"targets.{system}.connector is {name!r}; there are {', '.join(CONNECTORS)}.")
    class_name, only = CONNECTORS[name]
    if only not in (None, system):
        raise BadConfiguration(f"targets.{system}.connector is {name!r}, which can only be {only}.")
    try:
        return getattr(import_module(f"pipelines.targets.{name}"), class_name)(stated)
    except ModuleNotFoundError as error:
        raise BadConfiguration(f"targets.{system} needs {error.name}, which is not installed; run make setup.") from error
