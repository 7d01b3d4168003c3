"""Any SQL database through SQLAlchemy: a side's tables as they are at one moment, counted and read in one transaction.

dlt's sql_database reads each table on a connection of its own and counts none: two tables of two moments would pass for one side.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dlt
import pyarrow
import pyarrow.csv
import pyarrow.parquet
from sqlalchemy import URL, Connection, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from pipelines.evidence import Pulled
from pipelines.failures import BadConfiguration, SourceFailed
from pipelines.sources.landing import imported, refuse_missing, text
from pipelines.sources.side import Side
from pipelines.stated import Stated

RECORDS_OF_A_LOOK = 100
ROWS_AT_ONCE = 50_000
BYTES_AT_ONCE = 32 * 1024 * 1024
EXAMPLE = "postgresql://reader:password@host/database"
MOST_DIGITS = 38
TEXT = pyarrow.string()
TIME = pyarrow.timestamp("us")
ZONED_TIME = pyarrow.timestamp("us", tz="UTC")
Kinds = Callable[[Any, int | None, int | None], pyarrow.DataType]
Batches = Iterator[pyarrow.Table]


def of_postgresql(oid: int, precision: int | None, scale: int | None) -> pyarrow.DataType:
    if oid == 1700 and precision and scale is not None and 0 <= scale <= precision <= MOST_DIGITS:
        return pyarrow.decimal128(precision, scale)
    common = {
        16: pyarrow.bool_(), 21: pyarrow.int16(), 23: pyarrow.int32(), 20: pyarrow.int64(),
        700: pyarrow.float64(), 701: pyarrow.float64(), 1082: pyarrow.date32(), 1114: TIME, 1184: ZONED_TIME,
    }  # fmt: skip
    return common.get(oid, TEXT)


def of_mysql(code: int, length: int | None, scale: int | None) -> pyarrow.DataType:
    """What the protocol calls length holds the sign and the point as well."""
    if code in (0, 246) and length and length <= MOST_DIGITS:
        return pyarrow.decimal128(MOST_DIGITS, scale or 0)
    whole = dict.fromkeys((1, 2, 3, 8, 9, 13), pyarrow.int64())
    return (whole | {5: pyarrow.float64(), 7: ZONED_TIME, 10: pyarrow.date32(), 12: TIME}).get(code, TEXT)


@dataclass(frozen=True)
class Database:
    """How one kind of database is read: the driver and its options, how the transaction begins, and what that one promises."""

    driver: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    begin: tuple[str, ...] = ()
    promise: str = "one transaction at the database's own isolation, which may be no snapshot"
    is_snapshot: bool = False
    kinds: Kinds = lambda *_: TEXT


MYSQL = Database(
    driver="pymysql",
    options={"connect_timeout": 30, "read_timeout": 3600},
    begin=(
        "set session time_zone = '+00:00'",
        "set session transaction isolation level repeatable read",
        "start transaction with consistent snapshot, read only",
    ),
    promise="one REPEATABLE READ, READ ONLY transaction WITH CONSISTENT SNAPSHOT (of InnoDB tables)",
    is_snapshot=True,
    kinds=of_mysql,
)
DATABASES = {
    "postgresql": Database(
        driver="psycopg",
        options={
            "connect_timeout": 30, "keepalives_idle": 60, "keepalives_interval": 15, "keepalives_count": 4,
            "application_name": "tallystick", "client_encoding": "utf8",
        },
        begin=(
            "begin isolation level repeatable read, read only",
            "set local timezone = 'UTC'",
            "set local datestyle = 'ISO'",
            "set local extra_float_digits = 1",
            "set local row_security = off",  # a policy that hides rows is then an error; hidden rows are in no count
        ),
        promise="one REPEATABLE READ, READ ONLY transaction",
        is_snapshot=True,
        kinds=of_postgresql,
    ),
    "mysql": MYSQL,
    "mariadb": MYSQL,
    "sqlite": Database(
        begin=("pragma query_only = on", "begin deferred"),
        promise="one deferred transaction",
        is_snapshot=True,
    ),
}  # fmt: skip


@dlt.source(name="sql")
def sql(side: Side):
    """One resource a table. All are read to Parquet files in the side's work folder before dlt sees the first of them.

    Raises SourceFailed, or BadConfiguration where the address is none; neither holds a part of it.
    """
    url = address(side)
    database = DATABASES.get(url.get_backend_name(), Database())
    tables = side.tables()
    evidence = {table: side.evidence(table, "sql") for table in tables}
    with transaction(side, url, database) as connection:
        began_at = datetime.now(UTC)
        for table, columns in tables.items():
            evidence[table].started_at = began_at
            read_table(side, connection, database, evidence[table], columns)
    return [dlt.resource(landed, name=table)(side.work / file_of(side, table), evidence[table].fetched) for table in tables]


def landed(path: Path, records: int) -> Iterator:
    yield imported(path, records)


def file_of(side: Side, table: str) -> str:
    return f"{side.system}_{table}.parquet"


def address(side: Stated) -> URL:
    """The setting `credentials`. Nothing of it is shown: a password that is not escaped may be anywhere in it."""
    try:
        url = make_url(side.secret("credentials"))
    except (ArgumentError, ValueError):
        url = None
    if url is None or (url.host and "@" in f"{url.host}/{url.database}"):
        raise BadConfiguration(
            f"{side.place('credentials')} is no URL such as {EXAMPLE}; in a password @ is written %40, / %2F and % %25."
        ) from None
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise SourceFailed(f"{side.system}: there is no such SQLite file.")  # connecting would make an empty one
    driver = DATABASES.get(url.get_backend_name(), Database()).driver
    return url.set(drivername=f"{url.get_backend_name()}+{driver}") if driver else url


def engine_of(side: Stated, url: URL, database: Database) -> Engine:
    options = {name: value for name, value in database.options.items() if name not in url.query}
    logging.getLogger("sqlalchemy").setLevel(logging.CRITICAL)  # what fails is raised, and told in one sentence
    try:
        return create_engine(url, connect_args=options, poolclass=NullPool, hide_parameters=True)
    except NoSuchModuleError:
        raise BadConfiguration(f"{side.place('credentials')} names a kind of database that SQLAlchemy does not know.") from None
    except ModuleNotFoundError as error:
        raise BadConfiguration(f"{side.section}.{side.system} needs the driver {error.name}; install it into .venv.") from None


@contextmanager
def transaction(side: Side, url: URL, database: Database) -> Iterator[Connection]:
    """A connection on which nothing is ever written, in one transaction; gone when the block ends."""
    engine = engine_of(side, url, database)
    try:
        with engine.connect() as connection:
            if database.begin:
                connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            try:
                for statement in database.begin:
                    run(connection, statement)
                yield connection
            except BaseException:
                connection.invalidate()  # a connection in mid-read answers no rollback
                raise
    except (SQLAlchemyError, engine.dialect.dbapi.Error) as error:
        raise SourceFailed(f"{side.system}: {reading(side)}the database failed: {reason(error, url)}.") from None
    finally:
        engine.dispose()


def reading(side: Side) -> str:
    """The table that was being read, where it had come to that."""
    unread = [evidence for evidence in side.pulled if evidence.system == side.system and not evidence.end_seen]
    return f"{unread[0].table_name}, after {unread[0].fetched:,} records: " if unread and unread[0].page_size_asked else ""


def reason(error: Exception, url: URL) -> str:
    """The driver's own words, unless the password is among them."""
    said = " ".join(str(getattr(error, "orig", None) or error.args[0]).split()).split(" LINE 1:")[0][:300]
    secrets = [url.password, *(value for name, value in url.query.items() if "pass" in name)]
    return type(error).__name__ if any(secret and str(secret) in said for secret in secrets) else said.removesuffix(".")


def run(connection: Connection, statement: str, **options):
    """As it is written: a % in a query of the user's is no parameter."""
    return connection.exec_driver_sql(statement, execution_options={"no_parameters": True, **options})


def read_table(side: Side, connection: Connection, database: Database, evidence: Pulled, columns: list[str]) -> None:
    """Counts the table, writes it to its file and fills `evidence`."""
    table, evidence.page_size_asked = evidence.table_name, ROWS_AT_ONCE
    relation = relation_of(connection, side.setting(f"tables.{table}", table))
    described = run(connection, f"select * from {relation} where 1 = 0").cursor.description
    kinds = {bare(connection, name): database.kinds(code, precision, scale) for name, code, _, _, precision, scale, _ in described}
    refuse_missing(f"{side.system}: {table}", columns, list(kinds))
    evidence.unmapped_columns = ", ".join(sorted(set(kinds) - set(columns)))
    evidence.declared_total, evidence.is_counted_apart = count(connection, relation), True
    evidence.declared_by = f"count(*) in the same {'snapshot' if database.is_snapshot else 'transaction'}"
    quote = connection.dialect.identifier_preparer.quote
    query = f"select {', '.join(map(quote, columns))} from {relation}"
    if side.is_look and connection.dialect.name in DATABASES:  # others spell it otherwise and are read whole
        query += f" limit {RECORDS_OF_A_LOOK}"
    schema = pyarrow.schema([(column, kinds[column]) for column in columns])
    # A time without a zone is UTC, and dlt 1.31 drops an empty table that has one in silence.
    landing = pyarrow.schema([(column, ZONED_TIME if kinds[column] == TIME else kinds[column]) for column in columns])
    batches = copied if connection.dialect.name == "postgresql" else fetched
    with pyarrow.parquet.ParquetWriter(side.work / file_of(side, table), landing, use_dictionary=False) as writer:
        for batch in batches(connection, query, schema, evidence):
            writer.write_table(batch.cast(landing))
            evidence.pages += 1
            evidence.fetched += batch.num_rows
            side.go_on()
    if not database.is_snapshot:
        evidence.declared_after = count(connection, relation)
    evidence.end_seen, evidence.end_evidence = True, f"the result was read to its end in {database.promise}"
    evidence.finished_at = datetime.now(UTC)


def relation_of(connection: Connection, stated: str) -> str:
    """What `[sources.<system>.tables]` says: a name, perhaps with its schema, or a query."""
    stated = stated.strip().rstrip(";")
    if re.search(r"\s", stated):
        return f"(\n{stated}\n) pulled"
    return ".".join(map(connection.dialect.identifier_preparer.quote, stated.split(".")))


def bare(connection: Connection, name: str) -> str:
    """Oracle and Snowflake say in capitals what was written without quotes."""
    return connection.dialect.normalize_name(name) if connection.dialect.requires_name_normalize else name


def count(connection: Connection, relation: str) -> int:
    return run(connection, f"select count(*) from {relation}").scalar_one()


def copied(connection: Connection, query: str, schema: pyarrow.Schema, evidence: Pulled) -> Batches:
    """PostgreSQL's COPY, in the transaction that counted; Arrow parses its text."""
    rows, size = [], 0
    for row in copied_rows(connection, query):
        rows.append(row)
        size += len(row)
        if len(rows) == ROWS_AT_ONCE or size > BYTES_AT_ONCE:
            yield parsed(b"".join(rows), schema, evidence)
            rows, size = [], 0
    if rows:
        yield parsed(b"".join(rows), schema, evidence)


def copied_rows(connection: Connection, query: str) -> Iterator[memoryview]:
    """By libpq's own calls: psycopg's Copy goes to sleep and wakes for each row, which takes longer than the row."""
    driver, dbapi = connection.connection.driver_connection, connection.dialect.dbapi
    answer = driver.pgconn.exec_(f"copy ({query}) to stdout (format csv)".encode())
    if answer.status == dbapi.pq.ExecStatus.COPY_OUT:
        while (got := driver.pgconn.get_copy_data(0))[0] > 0:
            yield got[1]
        answer = driver.pgconn.get_result()
        while driver.pgconn.get_result():
            pass
    # A server that fails in the middle says so only here: what came before it would pass for the whole.
    if answer is None or answer.status != dbapi.pq.ExecStatus.COMMAND_OK:
        raise dbapi.OperationalError(answer.get_error_message("utf8") if answer else "the connection was lost")


def parsed(lines: bytes, schema: pyarrow.Schema, evidence: Pulled) -> pyarrow.Table:
    """Nothing between two commas is null, and "" is empty. One block, or a long value might lie across two."""
    with exactly(evidence):
        return pyarrow.csv.read_csv(
            pyarrow.BufferReader(lines),
            pyarrow.csv.ReadOptions(column_names=schema.names, block_size=len(lines) + 1),
            pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            pyarrow.csv.ConvertOptions(
                column_types=schema,
                null_values=[""],
                true_values=["t"],
                false_values=["f"],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )


def fetched(connection: Connection, query: str, schema: pyarrow.Schema, evidence: Pulled) -> Batches:
    """Rows as the driver gives them, from a cursor that stays on the server where the driver has one."""
    result = run(connection, query, stream_results=True)
    cursor = result.cursor
    try:
        for rows in result.partitions(ROWS_AT_ONCE):
            with exactly(evidence):
                columns = [
                    pyarrow.array(map(text, values) if column.type == TEXT else values, column.type)
                    for column, values in zip(schema, zip(*rows, strict=True), strict=True)
                ]
            yield pyarrow.table(columns, schema)
    except BaseException:
        if unread := getattr(cursor, "_result", None):
            unread.unbuffered_active = False  # or PyMySQL would read the rest, from a connection that may be gone
        raise


@contextmanager
def exactly(evidence: Pulled) -> Iterator[None]:
    """An infinite time or a bigint without sign has no place in the column's type; nothing is rounded or left out to make one."""
    try:
        yield
    except (pyarrow.ArrowException, OverflowError) as error:
        where = f"{evidence.system}: {evidence.table_name}, after {evidence.fetched:,} records"
        said = " ".join(str(error).split()).removesuffix(".")
        raise SourceFailed(
            f"{where}: a value can't be kept exactly ({said}); cast that column to text in a query under sources.{evidence.system}.tables."
        ) from error
