"""[publish.postgres]: the public tables in PostgreSQL, all replaced in one transaction.

Rows are deleted and copied in anew; no table is dropped or truncated. So who reads goes on seeing what was there when the reading
began, nobody waits for a reader unless a column has changed, and rights, views and indexes stay.
"""

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import dlt
import duckdb
import pyarrow.csv

from pipelines import public, settings
from pipelines.failures import BadConfiguration, Failure
from pipelines.public import Column, Table
from pipelines.sources.words import refuse_unknown
from pipelines.stated import Stated

if TYPE_CHECKING:
    from psycopg import Cursor

AGAIN = "mend it and run tallystick publish."
AS_BEFORE = f"PostgreSQL holds what it held before; {AGAIN}"
ROWS_AT_ONCE = 10_000
TYPES = {"VARCHAR": "text", "DOUBLE": "double precision"}  # the others are called alike
TIMES = ("TIMESTAMP WITH TIME ZONE", "DATE")
# A lock that somebody holds, or a server that stands still, is not waited for all night.
BEGIN = """
set local lock_timeout = '30s';
set local statement_timeout = '10min';
set local idle_in_transaction_session_timeout = '10min'
"""
ONE_AT_A_TIME = "select pg_advisory_xact_lock(hashtextextended('tallystick publishes into ' || %s, 0))"
THERE = """
select
    c.relname, obj_description(c.oid, 'pg_class'),
    jsonb_object_agg(a.attname, jsonb_build_array(format_type(a.atttypid, a.atttypmod), col_description(c.oid, a.attnum)))
from pg_class as c
inner join pg_namespace as n on n.oid = c.relnamespace
inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname = %s and c.relkind in ('r', 'p')
group by c.oid, c.relname
"""


class Postgres(Stated):
    section: ClassVar[str] = "publish"

    def is_set(self) -> bool:
        refuse_unknown("publish", ["postgres"])
        refuse_unknown("publish.postgres", ["schema", "credentials"])
        return dlt.config.get(self.place("schema")) is not None or dlt.secrets.get(self.place("credentials")) is not None

    def schema(self) -> str:
        stated = self.setting("schema", "tallystick")
        settings.refuse_code([stated], f"as {self.place('schema')}")
        return stated


def publish(state: Path) -> None:
    """Of the last run, where one of its pairs was trusted. A failure leaves PostgreSQL as it was."""
    stated = Postgres("postgres")
    try:
        if not stated.is_set():
            return
        with public.opened(state) as warehouse:
            if public.last_run(warehouse).has_trusted_pair:
                replace(warehouse, stated)
    except BadConfiguration as failure:
        raise Failure(failure.what, AS_BEFORE) from failure


def replace(warehouse: duckdb.DuckDBPyConnection, stated: Postgres) -> None:
    try:
        import psycopg

        from pipelines.sources.sql import DATABASES, address, reason
    except ModuleNotFoundError as error:
        raise BadConfiguration(f"[publish.postgres] needs {error.name}, of Tallystick's extra sql.") from error
    url, schema = address(stated), stated.schema()
    if url.get_backend_name() != "postgresql":
        raise BadConfiguration(f"{stated.place('credentials')} is no URL that begins with postgresql://.")
    options = {name: value for name, value in DATABASES["postgresql"].options.items() if name not in url.query}
    left = AS_BEFORE
    try:
        with psycopg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False), **options) as connection:
            with connection.cursor() as cursor:
                changed = put(cursor, warehouse, schema)
            left = f"It holds this run's tables or those before, whole; {AGAIN}"  # an answer may be lost after the deed
            connection.commit()
    except psycopg.Error as error:
        raise Failure(f"PostgreSQL did not take the tables: {reason(error, url)}.", left) from None
    for change in changed:
        print(f"PostgreSQL: {change}.", file=sys.stderr)


def put(cursor: "Cursor", warehouse: duckdb.DuckDBPyConnection, schema: str) -> list[str]:
    """In the transaction that the cursor is in. Returns which columns had to change."""
    cursor.execute(BEGIN)
    cursor.execute(ONE_AT_A_TIME, [schema])
    if not cursor.execute("select from pg_namespace where nspname = %s", [schema]).fetchall():
        cursor.execute(f"create schema {schema}")  # "if not exists" wants the right to make one where it exists too
    there = {name: (comment, columns) for name, comment, columns in cursor.execute(THERE, [schema])}
    changed = []
    for table in public.tables(warehouse):
        relation = f'{schema}."{table.name}"'
        comment, columns = there.get(table.name, (None, None))
        if columns is None:
            cursor.execute(f"create table {relation} ({', '.join(map(defined, table.columns))})")
        else:
            changed += [change for statement, change in changes(relation, table, columns) if cursor.execute(statement)]
        if comments := commented(relation, table, comment, columns or {}):
            cursor.execute(comments)
        cursor.execute(f"delete from {relation}")
        with cursor.copy(f"copy {relation} ({', '.join(map(name_of, table.columns))}) from stdin (format csv)") as copy:
            for lines in rows(warehouse, table):
                copy.write(lines)
    return changed


def changes(relation: str, table: Table, there: dict[str, list]) -> Iterator[tuple[str, str]]:
    """Statements that make the columns what they are to be, and what each does. A changed type would rewrite the table before the
    eyes of its readers; a column that is dropped and added does not."""
    wanted = {column.name: column for column in table.columns}
    for name in there:
        if name not in wanted:
            yield f'alter table {relation} drop column "{name}"', f"{relation} has no column {name} any more"
    for name, column in wanted.items():
        if name not in there:
            yield f"alter table {relation} add column {defined(column)}", f"{relation} has a new column {name}"
        elif there[name][0] != type_of(column):
            replaced = f'alter table {relation} drop column "{name}", add column {defined(column)}'
            yield replaced, f"in {relation} the column {name} is {type_of(column)} and no longer {there[name][0]}"


def commented(relation: str, table: Table, comment: str | None, there: dict[str, list]) -> str:
    """Statements for the descriptions that are not there yet; "" where all are."""
    wanted = [(f"table {relation}", table.description, comment)]
    wanted += [
        (f'column {relation}."{column.name}"', described(column), there.get(column.name, [None, None])[1]) for column in table.columns
    ]
    return "; ".join(f"comment on {what} is '{settings.quoted(says)}'" for what, says, said in wanted if (said or "") != says)


def described(column: Column) -> str:
    return f"{column.description} Unit: {column.unit}." if column.unit not in (None, "none") else column.description


def defined(column: Column) -> str:
    return f'"{column.name}" {type_of(column)}'


def name_of(column: Column) -> str:
    return f'"{column.name}"'


def type_of(column: Column) -> str:
    """As PostgreSQL itself spells it."""
    return TYPES.get(column.type, column.type.lower().replace("decimal", "numeric"))


def rows(warehouse: duckdb.DuckDBPyConnection, table: Table) -> Iterator[bytes]:
    """Lines of CSV: nothing between two commas is null, and "" is empty."""
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")
    for batch in warehouse.execute(f'select {", ".join(map(cell, table.columns))} from marts."{table.name}"').to_arrow_reader(ROWS_AT_ONCE):
        pyarrow.csv.write_csv(batch, lines := io.BytesIO(), options)
        yield lines.getvalue()


def cell(column: Column) -> str:
    """A time as text, since Arrow has no word for an endless one. PostgreSQL's text holds no NUL."""
    name = name_of(column)
    if column.type in TIMES:
        return f"{name}::varchar as {name}"
    return f"replace({name}, chr(0), '\N{REPLACEMENT CHARACTER}') as {name}" if column.type == "VARCHAR" else name
