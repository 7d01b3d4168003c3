"""What the vendors' targets share: which record of which table a write is of, what it sets there, and what is said of it elsewhere."""

from collections.abc import Collection
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from urllib.parse import quote

from pipelines.failures import BadConfiguration
from pipelines.sources.side import Side
from pipelines.stated import Stated
from pipelines.targets.target import Refused, TargetSettings, Write

RENAMED = {"deals": {"status": "stage"}}  # what staging's tables call a conformed column, where it is something else


def table_of(stated: TargetSettings, write: Write) -> str:
    """The one that holds one row a record."""
    return stated.tables_of(write.reconciliation)[0]


def own_id(write: Write, table: str) -> str:
    """For a path. Raises Refused where it is not one record."""
    ids = write.ids.get(table, [])
    if len(ids) != 1:
        raise Refused(f"{len(ids)} {table} carry the key {write.record_key}, and one is to be written")
    return quote(ids[0], safe="")


def given(table: str, write: Write) -> dict[str, str]:
    """What the write sets, by the table's own columns: of a record that is to be made all that is known, else one field."""
    values = write.record if write.operation == "create" else {write.field or "status": write.to_value}
    as_here = RENAMED.get(table, {})
    return {as_here.get(column, column): tidy(column, value) for column, value in values.items() if value is not None}


def tidy(column: str, value: str) -> str:
    """A day without its time, an amount without the zeros of its type, a currency as ISO 4217 writes it."""
    try:
        if column == "starts_on":
            time = datetime.fromisoformat(value)
            return (time.astimezone(UTC) if time.tzinfo else time).date().isoformat()
        if column == "amount":
            return f"{Decimal(value).normalize():f}"
    except (ValueError, InvalidOperation):
        return value
    return value.upper() if column == "currency" else value


def as_read(stated: TargetSettings, connector: str) -> Stated:
    """Where to look for what is not said of the target: at the source of the same system, if it is the same vendor's."""
    side = Side(stated.system, Path(), [])
    return side if side.setting("connector", "") == connector else stated


def setting(stated: TargetSettings, connector: str, name: str, default: str) -> str:
    return stated.setting(name, as_read(stated, connector).setting(name, default))


def one_of(stated: TargetSettings, connector: str, name: str, choices: Collection[str]) -> str:
    """The first unless another is stated."""
    choice = setting(stated, connector, name, next(iter(choices)))
    if choice not in choices:
        raise BadConfiguration(f"targets.{stated.system}.{name} must be {' or '.join(choices)}, not {choice!r}.")
    return choice


def names(stated: TargetSettings, connector: str, table: str, defaults: dict[str, str]) -> dict[str, str]:
    """What the account calls each column's field: as in the source, unless said otherwise."""
    return stated.names(table, as_read(stated, connector).names(table, defaults))
