"""Exports as people really send them: read right, or refused with the file, the line and what to do."""

import json
import tempfile
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow
import pyarrow.parquet
import pytest
from dlt.extract.exceptions import ResourceExtractionError

from pipelines import pull, settings
from pipelines.failures import BadConfiguration, SourceFailed, Stopped
from pipelines.settings import ROOT
from pipelines.sources.files import files
from pipelines.sources.side import Side

HEADER = "customer_number,company,email,status,country,owner,created_at,updated_at"
RECORD = "C-1,Alder,alder@example.org,active,NL,Ana,2025-01-01T00:00:00Z,2025-01-02T00:00:00Z"
FIELDS = dict(zip(HEADER.split(","), RECORD.split(","), strict=True))


class Exports:
    """The CRM's customers, one record of them, in a folder; a test replaces the file."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.write("crm/customers.csv", f"{HEADER}\n{RECORD}\n")

    @property
    def customers(self) -> Path:
        return self.folder / "crm/customers.csv"

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def write_jsonl(self, *records: dict | str) -> Path:
        """The CRM's customers as JSONL; a record given as text is written as it is."""
        self.customers.unlink(missing_ok=True)
        lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
        return self.write("crm/customers.jsonl", "\n".join(lines) + "\n")

    def write_parquet(self, table: pyarrow.Table, name: str = "crm/customers.parquet") -> Path:
        self.customers.unlink(missing_ok=True)
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        pyarrow.parquet.write_table(table, path)
        return path

    def pull(self) -> "Pulled":
        work = Path(tempfile.mkdtemp(dir=self.folder))
        pull.pull(work)
        return Pulled(work / "snapshot.duckdb")


class Pulled:
    def __init__(self, snapshot: Path):
        self.snapshot = snapshot

    def query(self, sql: str) -> list[tuple]:
        with duckdb.connect(self.snapshot, read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()

    def customers(self, columns: str = "customer_number, company") -> list[tuple]:
        return self.query(f"select {columns} from crm.customers order by customer_number")

    def evidence(self, columns: str) -> tuple:
        return self.query(f"select {columns} from pulls.tables where system = 'crm' and table_name = 'customers'")[0]


@pytest.fixture
def exports(tmp_path, monkeypatch) -> Exports:
    """One table is enough for what a file does, and a third of the time."""
    crm_alone = {"reconciliations": {"customers": {"left": {"system": "crm"}, "right": {"system": "crm"}}}}
    monkeypatch.setattr(settings, "project_vars", lambda: crm_alone)
    monkeypatch.setattr(settings, "needed_columns", lambda system: {"customers": list(FIELDS)})
    monkeypatch.setenv("SOURCES__CRM__CONNECTOR", "files")
    monkeypatch.setenv("SOURCES__CRM__PATH", str(tmp_path / "crm"))
    monkeypatch.delenv("TALLYSTICK_AS_OF", raising=False)
    return Exports(tmp_path)


def parquet_of(**changes) -> pyarrow.Table:
    """One customer as text; a change is a column's own Arrow array."""
    return pyarrow.table({name: changes.get(name, pyarrow.array([value])) for name, value in FIELDS.items()})


def test_text_lands_as_text_in_exactly_the_declared_columns(tmp_path, monkeypatch):
    for system in ("crm", "billing"):
        monkeypatch.setenv(f"SOURCES__{system.upper()}__PATH", str(ROOT / "sample/night-1" / system))
    pull.pull(tmp_path)
    pulled = Pulled(tmp_path / "snapshot.duckdb")
    columns = pulled.query(
        """
        select table_schema, table_name, column_name, data_type from information_schema.columns
        where table_schema in ('crm', 'billing') and not starts_with(table_name, '_dlt')
        """
    )
    assert sorted(columns) == sorted(
        (system, table, column, "VARCHAR")
        for system in ("crm", "billing")
        for table, columns in settings.needed_columns(system).items()
        for column in columns
    )


def test_leading_zeros_stay(exports):
    exports.customers.write_text(f"{HEADER}\n{RECORD.replace('C-1', '00123')}\n")
    pulled = exports.pull()
    assert pulled.customers() == [("00123", "Alder")]
    assert pulled.evidence("connector, files, fetched, landed, end_seen, unmapped_columns") == ("files", 1, 1, 1, True, "")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(f"\ufeff{HEADER}\n{RECORD}\n".encode(), id="byte order mark"),
        pytest.param(f"{HEADER}\r\n{RECORD}\r\n".encode(), id="CRLF"),
        pytest.param(f"{HEADER}\r{RECORD}\r".encode(), id="CR"),
        pytest.param(f"\ufeff{HEADER}\r\n{RECORD}".encode(), id="byte order mark, CRLF, no last line end"),
        pytest.param(f"{HEADER};\n{RECORD};\n".replace(",", ";").replace(";\n", "\n").encode(), id="semicolons"),
        pytest.param(f"{HEADER}\n{RECORD}\n".replace(",", "\t").encode(), id="tabs"),
        pytest.param(f"{HEADER}\n{RECORD}\n\n".encode(), id="blank line at the end"),
        pytest.param(("\n".join('"' + line.replace(",", '","') + '"' for line in (HEADER, RECORD))).encode(), id="all quoted"),
    ],
)
def test_a_csv_of_another_dialect_is_read_as_the_plain_one(exports, content):
    exports.customers.write_bytes(content)
    pulled = exports.pull()
    assert pulled.customers("*") == [tuple(RECORD.split(","))]


def test_a_tsv_is_read(exports):
    exports.customers.unlink()
    exports.write("crm/customers.tsv", f"{HEADER}\n{RECORD}\n".replace(",", "\t"))
    assert exports.pull().customers("*") == [tuple(RECORD.split(","))]


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_quoted_line_ends_quotes_and_delimiters_stay_in_their_value(exports, ends):
    company = f'"Al, ""der""{ends}; B.V."'
    exports.customers.write_bytes(ends.join([HEADER, RECORD.replace("Alder", company), ""]).encode())
    assert exports.pull().customers() == [("C-1", f'Al, "der"{ends}; B.V.')]


def test_latin_1_is_read_where_it_is_declared(exports, monkeypatch):
    monkeypatch.setenv("SOURCES__CRM__ENCODING", "latin-1")
    exports.customers.write_bytes(f"{HEADER}\n{RECORD.replace('Alder', 'Müller')}\n".encode("latin-1"))
    assert exports.pull().customers() == [("C-1", "Müller")]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (f"{HEADER}\n{RECORD.replace('Alder', 'Müller')}\n".encode("latin-1"), r"customers\.csv.* line 2: Invalid unicode"),
        (f"{HEADER},größe\n{RECORD},1\n".encode("latin-1"), r"customers\.csv, line 1, is not utf-8; .*latin-1"),
        (f"{HEADER}\n{RECORD}\n".encode("utf-16"), r"customers\.csv, line 1, is not utf-8"),
        (f"{HEADER}\n{RECORD}\n".encode().replace(b"Alder", b"Al\xed\xa0\x80der"), r"customers\.csv.*line 2"),
        (f"{HEADER}\n{RECORD}\n{RECORD},more\n".encode(), r"customers\.csv.*line 3: Expected Number of Columns: 8 Found: 9"),
        (f"{HEADER}\n{RECORD}\nC-2,short\n".encode(), r"customers\.csv.*line 3: Expected Number of Columns: 8 Found: 2"),
        (f"{HEADER}\n{RECORD}\nTotal: 1 records\n".encode(), r"customers\.csv.*line 3: Expected Number of Columns: 8 Found: 1"),
        (f'{HEADER}\n{RECORD}\n"C-2,never closed\n'.encode(), r"customers\.csv.*line 3: .*unterminated quote"),
        (f"{HEADER}\n{RECORD}\n{HEADER}\n".encode(), r"customers\.csv, line 3: the header stands there again"),
        (f"\ufeff{HEADER}\r\n{RECORD}\r\n{HEADER}\r\n{RECORD}\r\n".encode(), r"customers\.csv, line 3: the header stands there"),
        (f"\ufeff{HEADER}\n{RECORD}\n\ufeff{HEADER}\n{RECORD}\n".encode(), r"customers\.csv, line 3: the header stands there"),
        (f"{HEADER}\n{RECORD}\n".replace(",", ", ").encode() + f"{HEADER}\n".replace(",", ", ").encode(), r"line 3: the header"),
        (f"{HEADER},email\n{RECORD},x\n".encode(), r"customers\.csv, line 1: the column 'email' stands twice"),
        (b"", r"customers\.csv, line 1: there is no header; the file is empty"),
        (b"\n\n", r"customers\.csv, line 1: there is no header"),
        (f"{HEADER.replace('email', 'e_mail')}\n{RECORD}\n".encode(), r"customers\.csv has no column 'email'; it has: .*'e_mail'"),
        (f"{HEADER.replace('customer_number', 'Customer-ID')}\n{RECORD}\n".encode(), "has no column 'customer_number'"),
        (f"{HEADER.replace('email', 'Email')}\n{RECORD}\n".encode(), "has no column 'email'; it has: 'Email'"),
        (b"<!doctype html><title>Log in</title>\n", "has no column 'customer_number'"),
        (f"{HEADER}\n{RECORD.replace('Alder', 'A' * 17_000_000)}\n".encode(), r"customers\.csv.*Maximum line size"),
    ],
    ids=[
        "Latin-1 undeclared", "Latin-1 header undeclared", "UTF-16", "lone surrogate", "row too long", "row too short", "trailing row",
        "unterminated quote", "header twice", "header twice, CRLF", "header twice, byte order mark", "header twice, blanks",
        "column twice", "empty file", "blank file", "column renamed", "key renamed", "other case", "HTML", "17 MB value",
    ],
)  # fmt: skip
def test_a_csv_that_cannot_be_read_right_is_refused_with_file_and_line(exports, content, sentence):
    exports.customers.write_bytes(content)
    with pytest.raises(SourceFailed, match=sentence) as refused:
        exports.pull()
    assert refused.value.exit_code == 3
    assert "Alder" not in str(refused.value)


def test_a_column_nobody_declared_is_recorded_and_does_no_harm(exports):
    exports.customers.write_text(f"{HEADER},loyalty tier,a'b\n{RECORD},gold,1\n")
    pulled = exports.pull()
    assert pulled.customers("*") == [tuple(RECORD.split(","))]
    assert pulled.evidence("unmapped_columns, end_seen") == ("a'b, loyalty tier", True)


def test_no_file_and_no_folder_name_what_was_wanted(exports, monkeypatch):
    exports.customers.rename(exports.folder / "crm/clients.csv")
    with pytest.raises(SourceFailed, match=r"crm: there is no file for customers in .*crm \(wanted: customers\.csv"):
        exports.pull()
    monkeypatch.setenv("SOURCES__CRM__PATH", str(exports.folder / "nowhere"))
    with pytest.raises(SourceFailed, match=r"crm: there is no folder .*nowhere"):
        exports.pull()


@pytest.mark.parametrize("names", [["customers-1.csv", "customers-2.csv"], ["customers_part2.CSV", "customers.csv"]])
def test_numbered_parts_are_one_table(exports, names):
    exports.customers.unlink()
    for number, name in enumerate(names, 1):
        exports.write(f"crm/{name}", f"{HEADER}\n{RECORD.replace('C-1', f'C-{number}')}\n")
    if "customers.csv" in names:
        exports.write("crm/customers-1.csv", f"{HEADER}\n{RECORD.replace('C-1', 'C-0')}\n")
    pulled = exports.pull()
    assert (
        len(pulled.customers()) == pulled.evidence("fetched")[0] == pulled.evidence("files")[0] == len(list(exports.folder.glob("crm/c*")))
    )
    assert pulled.evidence("end_seen, end_evidence") == (True, "every file was read to its end")


def test_parts_may_order_their_columns_differently(exports):
    exports.customers.unlink()
    turned = [",".join(reversed(line.split(","))) for line in (HEADER, RECORD.replace("C-1", "C-2"))]
    exports.write("crm/customers-1.csv", f"{HEADER}\n{RECORD}\n")
    exports.write("crm/customers-2.csv", "\n".join(turned))
    assert exports.pull().customers() == [("C-1", "Alder"), ("C-2", "Alder")]


def test_a_folder_of_parquet_parts_is_one_table(exports):
    for number in (0, 1):
        exports.write_parquet(parquet_of(customer_number=pyarrow.array([f"C-{number}"])), f"crm/customers/part-{number}.parquet")
    pulled = exports.pull()
    assert pulled.customers() == [("C-0", "Alder"), ("C-1", "Alder")]
    assert pulled.evidence("files, fetched, landed, end_seen") == (2, 2, 2, True)


def test_parquet_parts_may_order_their_columns_differently(exports):
    table = parquet_of()
    exports.write_parquet(table, "crm/customers-1.parquet")
    exports.write_parquet(table.select(list(reversed(table.column_names))), "crm/customers-2.parquet")
    assert exports.pull().customers("*") == [tuple(RECORD.split(","))] * 2


def test_parquet_parts_whose_types_differ_are_read_whole_or_refused(exports):
    exports.write_parquet(parquet_of(customer_number=pyarrow.array([1])), "crm/customers-1.parquet")
    exports.write_parquet(parquet_of(customer_number=pyarrow.array(["C-2"])), "crm/customers-2.parquet")
    try:
        pulled = exports.pull()
    except SourceFailed as refused:
        assert "customers-2.parquet" in str(refused)
    else:
        assert pulled.customers("customer_number::varchar") == [("1",), ("C-2",)]


def test_a_part_that_is_missing_is_no_end(exports):
    exports.customers.unlink()
    for number in (1, 3):
        exports.write(f"crm/customers-{number}.csv", f"{HEADER}\n{RECORD}\n")
    assert exports.pull().evidence("fetched, end_seen, end_evidence") == (2, False, "part 2 of customers is missing")


def test_the_first_part_can_be_missing_too(exports):
    exports.customers.rename(exports.folder / "crm/customers-2.csv")
    assert exports.pull().evidence("end_seen, end_evidence") == (False, "part 1 of customers is missing")


@pytest.mark.parametrize("name", ["customers-20260303", "customers_2026-03-03", "customers-20260303T030000Z", "customers/2026-03-03"])
def test_a_date_is_no_part_number(exports, name):
    exports.write(f"crm/{name}.csv", exports.customers.read_text())
    exports.customers.unlink()
    assert exports.pull().evidence("fetched, end_seen") == (1, True)


def test_parts_may_carry_their_date(exports):
    exports.customers.unlink()
    for number in (1, 2, 4):
        exports.write(f"crm/customers-20260303-{number}.csv", f"{HEADER}\n{RECORD}\n")
    assert exports.pull().evidence("fetched, end_evidence") == (3, "part 3 of customers is missing")


def test_exports_of_two_dates_are_not_chosen_between(exports):
    for day in ("20260302", "20260303"):
        exports.write(f"crm/customers-{day}.csv", exports.customers.read_text())
    exports.customers.unlink()
    with pytest.raises(SourceFailed, match="holds customers of more than one date; keep one"):
        exports.pull()


def test_every_file_of_a_tables_own_folder_counts(exports):
    exports.customers.rename(exports.folder / "crm/whole.csv")
    exports.write("crm/customers/8b7b20ee.csv", f"{HEADER}\n{RECORD}\n")
    exports.write("crm/customers/.part-0.csv.crc", "")
    assert exports.pull().evidence("fetched, end_seen") == (1, True)
    exports.write("crm/customers/part-1.csv.gz", "")
    with pytest.raises(SourceFailed, match=r"part-1\.csv\.gz looks like a part of customers in a format that can't be read"):
        exports.pull()


@pytest.mark.parametrize("name", ["customers-2.csv.gz", "customers-2.xls"])
def test_a_part_in_an_unknown_format_is_not_passed_over(exports, name):
    exports.customers.rename(exports.folder / "crm/customers-1.csv")
    exports.write(f"crm/{name}", b"\x1f\x8b")
    try:
        pulled = exports.pull()
    except SourceFailed as refused:
        assert name in str(refused)
    else:
        assert pulled.evidence("end_seen") == (False,)


def test_the_parts_that_spark_writes_are_one_table(exports):
    for number in (0, 1):
        name = f"crm/customers/part-{number:05}-8b7b20ee-1c4f-4d4e-9a55-000{number}aa-c000.snappy.parquet"
        exports.write_parquet(parquet_of(customer_number=pyarrow.array([f"C-{number}"])), name)
    exports.write("crm/customers/_SUCCESS", "")
    pulled = exports.pull()
    assert pulled.customers() == [("C-0", "Alder"), ("C-1", "Alder")]
    assert pulled.evidence("files, end_seen") == (2, True)


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        ("customers.jsonl", "holds customers in more than one format; keep one"),
        ("customers-0.csv", "holds two files with the same part number for customers; keep one"),
    ],
)
def test_two_exports_of_one_table_are_refused(exports, second, sentence):
    exports.write(f"crm/{second}", exports.customers.read_bytes())
    with pytest.raises(SourceFailed, match=sentence):
        exports.pull()


def test_jsonl_lands_as_text_and_nested_parts_as_json(exports):
    exports.write_jsonl(
        '{"customer_number": "00123", "company": "Alder", "email": 7, "status": true, "country": null,'
        ' "owner": {"name": "Ana", "teams": [1, 2]}, "created_at": [], "tier": 1}',
        FIELDS | {"customer_number": "00124"},
        '{"customer_number": "00125", "created_at": "", "first name": "Ana"}',
    )
    pulled = exports.pull()
    assert pulled.customers("*") == [
        ("00123", "Alder", "7", "true", None, '{"name":"Ana","teams":[1,2]}', "[]", None),
        ("00124", *RECORD.split(",")[1:]),
        ("00125", None, None, None, None, None, "", None),
    ]
    assert pulled.evidence("fetched, landed, unmapped_columns") == (3, 3, "first name, tier")


@pytest.mark.parametrize(
    "number",
    ["12345678901234567890123456789012345678", "1.50", "1e0", "-0.1", "123456789012345678.91", "0.12345678901234567890123456789", "1e400"],
)  # fmt: skip
def test_jsonl_numbers_are_exact(exports, number):
    exports.write_jsonl(json.dumps(FIELDS).replace('"Alder"', number))
    assert Decimal(exports.pull().customers()[0][1]) == Decimal(number)


@pytest.mark.parametrize("columns", [f"{HEADER},Email", f"Email,{HEADER}"])
def test_csv_columns_that_differ_in_case_alone_are_two_columns(exports, columns):
    exports.customers.write_text(f"{columns}\n{RECORD},other\n" if columns.endswith("Email") else f"{columns}\nother,{RECORD}\n")
    try:
        pulled = exports.pull()
    except SourceFailed as refused:
        assert "customers.csv" in str(refused)
    else:
        assert pulled.customers("email") == [("alder@example.org",)]


def test_a_jsonl_key_is_not_taken_from_a_nested_part_or_a_text(exports):
    rest = json.dumps(FIELDS | {"email": 10.5})[1:-1]
    exports.write_jsonl('{"line": {"email": 7.25}, "note": "\\"email\\": 8.5", ' + rest + "}")
    assert exports.pull().customers("email") == [("10.5",)]


@pytest.mark.parametrize("first", ["email", "Email"])
def test_jsonl_keys_that_differ_in_case_alone_are_two_keys(exports, first):
    second = {"email": "Email", "Email": "email"}[first]
    exports.write_jsonl({first: first, second: second} | {name: value for name, value in FIELDS.items() if name != "email"})
    try:
        pulled = exports.pull()
    except SourceFailed as refused:
        assert "customers.jsonl" in str(refused)
    else:
        assert pulled.customers("email") == [("email",)]


def test_jsonl_of_17_mb_a_line_is_exact_or_refused(exports):
    exports.write_jsonl(FIELDS | {"company": "A" * 17_000_000})
    try:
        pulled = exports.pull()
    except SourceFailed as refused:
        assert "customers.jsonl" in str(refused)
    else:
        assert pulled.customers("length(company)") == [(17_000_000,)]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ([FIELDS, '{"customer_number": "C-2", '], r"customers\.jsonl.*line 2"),
        ([FIELDS, "[1, 2]"], r"customers\.jsonl: every line must be one JSON object"),
        ([json.dumps([FIELDS])], r"customers\.jsonl: every line must be one JSON object"),
        (["null"], r"customers\.jsonl: every line must be one JSON object"),
        ([{name: value for name, value in FIELDS.items() if name != "email"}], "has no column 'email'"),
        ([""], r"customers\.jsonl has no column 'customer_number'"),
        ([json.dumps(FIELDS), '{"customer_number": "\\ud800"}'], r"customers\.jsonl"),
    ],
    ids=["malformed", "array", "array of objects", "null", "key missing", "empty", "lone surrogate"],
)
def test_jsonl_that_cannot_be_read_right_is_refused(exports, lines, sentence):
    exports.write_jsonl(*lines)
    with pytest.raises(SourceFailed, match=sentence) as refused:
        exports.pull()
    assert "Alder" not in str(refused.value)


@pytest.mark.parametrize("write", ["csv", "jsonl", "parquet"])
def test_hostile_and_huge_values_land_verbatim(exports, write):
    values = [
        "'; drop table crm.customers; --", "{{ env_var('HOME') }} {% raw %}", "\x1b[31mred\x1b[0m", "=cmd|' /C calc'!A0", "\u202egpj.exe",
        "<script>alert(1)</script>", "../../etc/passwd", "NULL", "\\N", "nan", "\u00a0x\u200b", "é", "e\u0301",
        "a\tb", "\\", "#", "A" * 10_000_000,
    ]  # fmt: skip
    if write == "csv":
        lines = [f'C-{number:03},"{value}",a,b,c,d,e,f' for number, value in enumerate(values)]
        exports.customers.write_bytes("\n".join([HEADER, *lines]).encode())
    elif write == "jsonl":
        exports.write_jsonl(*(FIELDS | {"customer_number": f"C-{n:03}", "company": v} for n, v in enumerate(values)))
    else:
        numbers = [f"C-{number:03}" for number in range(len(values))]
        rest = {name: pyarrow.array([value] * len(values)) for name, value in FIELDS.items()}
        exports.write_parquet(pyarrow.table(rest | {"customer_number": numbers, "company": values}))
    assert [company for _, company in exports.pull().customers()] == values


@pytest.mark.parametrize("write", ["csv", "jsonl", "parquet"])
def test_a_nul_byte_lands_exactly_or_is_refused(exports, write):
    if write == "csv":
        exports.customers.write_text(f"{HEADER}\n{RECORD.replace('Alder', 'Al' + chr(0) + 'der')}\n")
    elif write == "jsonl":
        exports.write_jsonl(FIELDS | {"company": "Al\0der"})
    else:
        exports.write_parquet(parquet_of(company=pyarrow.array(["Al\0der"])))
    try:
        pulled = exports.pull()
    except SourceFailed as refused:
        assert "customers." in str(refused)
    else:
        assert pulled.customers() == [("C-1", "Al\0der")]


def test_parquet_keeps_its_types(exports):
    stamp = pyarrow.array([1_767_225_600_000_000], pyarrow.timestamp("us", tz="UTC"))
    path = exports.write_parquet(parquet_of(customer_number=pyarrow.array([123]), company=pyarrow.array([True]), created_at=stamp))
    before = path.read_bytes()
    pulled = exports.pull()
    assert pulled.customers("customer_number, company, created_at::varchar, email") == [
        (123, True, "2026-01-01 00:00:00+00", "alder@example.org")
    ]
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("array", "landed"),
    [
        (pyarrow.array([None], pyarrow.null()), None),
        (pyarrow.array(["Alder"]).dictionary_encode(), "Alder"),
        (pyarrow.array(["Alder"], pyarrow.large_string()), "Alder"),
        (pyarrow.array([10**37 + 1], pyarrow.decimal128(38, 0)), str(10**37 + 1)),
        (pyarrow.array([2**64 - 1], pyarrow.uint64()), str(2**64 - 1)),
        (pyarrow.array([1], pyarrow.timestamp("ns")), "1970-01-01 00:00:00"),
        (pyarrow.array([{"a": "00123", "b": [1]}]), '{"a":"00123","b":[1]}'),
        (pyarrow.array([["x", None]]), '["x",null]'),
        (pyarrow.array([[("k", 1)]], pyarrow.map_(pyarrow.string(), pyarrow.int64())), '{"k":1}'),
    ],
    ids=["null", "dictionary", "large string", "decimal", "unsigned", "nanoseconds", "struct", "list", "map"],
)
def test_parquet_of_every_type_lands_in_its_own_column_or_is_refused_by_name(exports, array, landed):
    exports.write_parquet(parquet_of(company=array))
    try:
        pulled = exports.pull()
    except SourceFailed as refused:
        assert "customers.parquet" in str(refused)
        return
    text = pulled.customers("company::varchar")[0][0]
    assert text is landed if landed is None else text.startswith(landed)
    names = pulled.query("select column_name from information_schema.columns where table_schema = 'crm' and table_name = 'customers'")
    assert {name for (name,) in names} == set(FIELDS)


@pytest.mark.parametrize("write", ["no Parquet", "cut off", "other case"])
def test_a_broken_parquet_file_is_refused(exports, write):
    path = exports.write_parquet(parquet_of())
    if write == "no Parquet":
        path.write_text(f"{HEADER}\n{RECORD}\n")
    elif write == "cut off":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        exports.write_parquet(parquet_of().rename_columns([name.title() for name in FIELDS]))
    with pytest.raises(SourceFailed, match=r"customers\.parquet"):
        exports.pull()


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        ("{", "manifest.json can't be read"),
        ("[]", "manifest.json can't be read"),
        ('{"records": {"customers": "1"}}', "a total under records is not a whole number"),
        ('{"records": {"customers": -1}}', "a total under records is not a whole number"),
        ('{"records": {"customers": true}}', "a total under records is not a whole number"),
        ('{"exported_at": "2026-03-03 03:00"}', "exported_at must be an ISO 8601 time with a zone"),
        ('{"exported_at": 1772506800}', "exported_at must be an ISO 8601 time with a zone"),
        ('{"records": [1]}', "manifest.json can't be read"),
        (b"\xff\xfe", "manifest.json can't be read"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_refused(exports, manifest, sentence):
    exports.write("crm/manifest.json", manifest)
    with pytest.raises(SourceFailed, match=sentence):
        exports.pull()


def test_a_manifest_declares_totals_and_the_clock(exports):
    exports.write("crm/manifest.json", '\ufeff{"exported_at": "2026-03-03T04:00:00+01:00", "records": {"customers": 7}}')
    pulled = exports.pull()
    assert pulled.evidence("declared_total, fetched, exported_at::varchar") == (7, 1, "2026-03-03 03:00:00+00")
    assert pulled.query("select as_of::varchar, as_of_source from pulls.runs") == [
        ("2026-03-03 03:00:00+00", "exported_at in manifest.json")
    ]


def test_header_only_lands_nothing_and_says_so(exports):
    exports.customers.write_text(f"{HEADER}\n")
    pulled = exports.pull()
    assert pulled.evidence("fetched, landed, end_seen") == (0, 0, True)


def test_a_file_that_changes_while_it_is_read_is_no_end(exports, monkeypatch):
    from pipelines.sources import files

    parse = files.parse_part

    def parse_while_someone_writes(*arguments):
        parsed = parse(*arguments)
        with exports.customers.open("a") as late:
            late.write(RECORD.replace("C-1", "C-2") + "\n")
        return parsed

    monkeypatch.setattr(files, "parse_part", parse_while_someone_writes)
    assert exports.pull().evidence("end_seen, end_evidence") == (False, "a file changed while it was read")


def test_where_the_other_side_has_failed_no_more_is_read(exports):
    side = Side("crm", exports.folder, [])
    side.stopping.set()
    with pytest.raises(ResourceExtractionError) as stopped:
        list(files(side).resources["customers"])
    assert isinstance(stopped.value.__cause__, Stopped)


@pytest.mark.parametrize("name", ["o'brien; drop", "night [1]", "night*", "{night}", "nächte"])
def test_a_folder_of_any_name_is_read_and_no_other(exports, monkeypatch, name):
    for sibling, number in ((name, "mine"), ("night 1", "other"), ("nights", "other")):
        exports.write(f"{sibling}/customers.csv", f"{HEADER}\n{RECORD.replace('C-1', number)}\n")
    monkeypatch.setenv("SOURCES__CRM__PATH", str(exports.folder / name))
    assert exports.pull().customers() == [("mine", "Alder")]


def test_an_unknown_encoding_is_bad_configuration(exports, monkeypatch):
    monkeypatch.setenv("SOURCES__CRM__ENCODING", "ebcdic")
    with pytest.raises(BadConfiguration, match=r"sources\.crm\.encoding must be one of utf-8, latin-1, not 'ebcdic'"):
        exports.pull()


def test_column_names_that_are_no_names_are_refused(tmp_path, monkeypatch):
    sources = tmp_path / "models/staging/evil/_evil__sources.yml"
    sources.parent.mkdir(parents=True)
    sources.write_text('sources: [{name: evil, tables: [{name: t, columns: [{name: "x\\"; drop table y; --"}]}]}]')
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    with pytest.raises(BadConfiguration, match="in the sources of evil is not a plain lower-case name"):
        settings.needed_columns("evil")


@pytest.mark.parametrize(
    ("content", "code", "sentence"),
    [
        ("", 3, "customers.csv, line 1: there is no header; the file is empty."),
        (f"{HEADER}\n{RECORD}\nC-2,short\n", 3, "customers.csv can't be read: line 3: Expected Number of Columns: 8 Found: 2"),
        (f"{HEADER.replace('email', 'mail')}\n{RECORD}\n", 3, "customers.csv has no column 'email'"),
        (None, 3, "crm: there is no file for customers in"),
    ],
)  # fmt: skip
def test_the_command_says_what_cannot_be_read(yesterday, content, code, sentence):
    before = yesterday.fingerprint()
    customers = yesterday.crm / "customers.csv"
    customers.unlink()
    if content is not None:
        customers.write_text(content)
    ran = yesterday.reconcile()
    assert (ran.code, yesterday.fingerprint()) == (code, before)
    assert ran.says(sentence)


def test_the_command_does_not_trust_what_is_not_whole(yesterday):
    before = yesterday.differences()
    subscriptions, customers = yesterday.billing / "subscriptions.csv", yesterday.crm / "customers.csv"
    for system in (yesterday.crm, yesterday.billing):
        (system / "manifest.json").unlink()
    subscriptions.write_text(subscriptions.read_text().splitlines(keepends=True)[0])
    header, *records = customers.read_text().splitlines(keepends=True)
    customers.unlink()
    for part, share in ((1, records[:500]), (3, records[500:])):
        (yesterday.crm / f"customers-{part}.csv").write_text(header + "".join(share))
    ran = yesterday.reconcile(TALLYSTICK_AS_OF="2026-03-04T03:00:00Z")
    assert ran.code == 4
    assert {("customers", "left", "pull_finished"), ("contracts", "right", "not_empty")} <= yesterday.failed_checks()
    assert "pull_finished" in ran.out and "not_empty" in ran.out
    assert yesterday.differences() == before


@pytest.mark.parametrize(
    ("manifest", "misspelt"),
    [
        ('{"record": {"customers": 1}}', "record"),
        ('{"records": {"custmers": 1}}', "custmers"),
        ('{"records": {"customer": 1}}', "customer"),
    ],
)
def test_a_misspelt_total_is_not_passed_over(exports, manifest, misspelt):
    exports.write("crm/manifest.json", manifest)
    with pytest.raises(SourceFailed, match=rf"manifest\.json can't be read: it says '{misspelt}'"):
        exports.pull()


def test_a_manifest_may_count_tables_that_no_pair_needs(exports):
    exports.write("crm/invoices.csv", "number\n1\n")
    exports.write("crm/manifest.json", '{"records": {"customers": 1, "invoices": 1}}')
    assert exports.pull().evidence("declared_total") == (1,)
