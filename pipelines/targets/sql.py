"""A SQL database: each write one transaction, and only where the row is still what was read.

Names of tables and columns come from the settings and are looked up in the database before SQLAlchemy quotes them; values are bound.
"""

from decimal import Decimal, InvalidOperation

from sqlalchemy import Column, Connection, MetaData, String, Table, cast, delete, insert, literal, select, update
from sqlalchemy.exc import DBAPIError, NoSuchTableError

from pipelines import settings
from pipelines.failures import SourceFailed, TargetFailed
from pipelines.sources.landing import text
from pipelines.sources.sql import DATABASES, Database, address, engine_of, reason
from pipelines.targets.target import NoAnswer, Refused, TargetSettings, Unavailable, Write

# Of the exports' columns, where they are called otherwise than what is compared, or are no such thing: '' is none.
CALLED = {
    ("crm", "deals"): {"status": "stage"},
    ("billing", "customers"): {"company": "name", "status": ""},
    ("billing", "subscriptions"): {"amount": "", "starts_on": ""},
}


class Sql:
    is_idempotent = True  # a row that is there is not made again

    def __init__(self, stated: TargetSettings):
        try:
            self.stated, self.url = stated, address(stated)
        except SourceFailed as failure:
            raise TargetFailed(failure.what) from failure
        self.engine = engine_of(stated, self.url, DATABASES.get(self.url.get_backend_name(), Database()))

    def refuses(self, write: Write) -> str | None:
        field = self.field(write)
        if write.operation in ("update", "end") and not self.columns(write).get(field):
            return f"[targets.{self.stated.system}.{self.table_of(write)}] names no column for {field}"
        return None

    def write(self, write: Write) -> str:
        try:
            connection = self.engine.connect()
        except DBAPIError as error:
            raise Unavailable(reason(error, self.url)) from error
        with connection:
            try:
                said = self.put(connection, write)
            except (DBAPIError, NoSuchTableError) as error:
                kind = Unavailable if getattr(error, "connection_invalidated", False) else Refused
                raise kind(reason(error, self.url)) from error
            try:
                connection.commit()
            except DBAPIError as error:
                raise NoAnswer(reason(error, self.url)) from error
        return said

    def put(self, connection: Connection, write: Write) -> str:
        table, columns = self.reflected(connection, write), self.columns(write)
        key = named(table, columns[write.key]) == (write.stated_key or write.record_key)
        found = connection.execute(select(table).where(key).limit(2)).mappings().all()
        if len(found) > 1:
            raise Refused(f"{table.fullname} has the key more than once")
        if write.operation == "create":
            return self.create(connection, table, key, columns, write, found)
        if write.operation == "delete":
            return f"{connection.execute(delete(table).where(key)).rowcount} row deleted" if found else "it was gone"
        if not found:
            raise Refused(f"{table.fullname} has no such key")
        return self.change(connection, named(table, columns[self.field(write)]), key, write, found[0])

    def change(self, connection: Connection, column: Column, key, write: Write, row) -> str:
        """Compare and set: by what the plan says, then by the very value that was read."""
        now = row[column.name]
        if same(now, write.to_value):
            return "it was so"
        if write.field and not same(now, write.from_value):
            raise Refused(f"changed meanwhile: {column.name} is {text(now)!r}")
        unchanged = column.is_(None) if now is None else column == now
        hit = connection.execute(update(column.table).where(key, unchanged).values({column: typed(write.to_value, column)})).rowcount
        after = connection.execute(select(column).where(key)).scalars().all()
        if hit != 1 or not same(after[0], write.to_value):
            raise Refused(f"{hit} rows hit, {column.name} would be {', '.join(repr(text(value)) for value in after)}")
        return "1 row updated"

    def create(self, connection: Connection, table: Table, key, columns: dict[str, str], write: Write, found: list) -> str:
        record = write.record | {write.key: write.stated_key or write.record_key}
        values = {named(table, columns[name]): value for name, value in record.items() if columns.get(name) and value is not None}
        if found:
            if holds(found[0], values):
                return "it was there"
            raise Refused(f"{table.fullname} has that key, with other values")
        connection.execute(insert(table).values({column: typed(value, column) for column, value in values.items()}))
        after = connection.execute(select(table).where(key)).mappings().all()
        if len(after) != 1 or not holds(after[0], values):
            raise Refused(f"{table.fullname} would hold other values than these")
        return "1 row inserted"

    def reflected(self, connection: Connection, write: Write) -> Table:
        schema, _, name = self.stated.setting(f"tables.{self.table_of(write)}", self.table_of(write)).rpartition(".")
        return Table(name, MetaData(), schema=schema or None, autoload_with=connection, resolve_fks=False)

    def columns(self, write: Write) -> dict[str, str]:
        """What is compared → the column that holds it."""
        table = self.table_of(write)
        exported = {column: column for column in settings.needed_columns(self.stated.system)[table]}
        return self.stated.names(table, exported | CALLED.get((self.stated.system, table), {}))

    def table_of(self, write: Write) -> str:
        return self.stated.tables_of(write.reconciliation)[0]

    def field(self, write: Write) -> str:
        return write.field or "status"


def named(table: Table, name: str) -> Column:
    if name not in table.columns:
        raise Refused(f"{table.fullname} has no column {name!r}")
    return table.columns[name]


def holds(row, values: dict[Column, str]) -> bool:
    return all(same(row[column.name], value) for column, value in values.items())


def typed(value: str | None, column: Column):
    """The database reads the text as it would read it in a statement."""
    return None if value is None else cast(literal(value, String), column.type)


def same(now, wanted: str | None) -> bool:
    """Whether a value of the database is what the plan says as text."""
    stated = None if now is None else text(now).strip() or None
    if stated == wanted:
        return True
    try:
        return not isinstance(now, str) and Decimal(stated) == Decimal(wanted)
    except (InvalidOperation, TypeError):
        return False
