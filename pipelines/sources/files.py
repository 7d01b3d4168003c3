"""Exports in a folder: one file, or numbered parts, per table, as CSV, JSONL or Parquet.

DuckDB's readers parse, strictly; dlt loads what they wrote. What arrives untyped lands as text, what arrives typed keeps its type.
"""

import csv
import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dlt
import duckdb
import pyarrow.parquet

from pipelines.evidence import Pulled
from pipelines.failures import BadConfiguration, SourceFailed
from pipelines.settings import parse_time

FORMATS = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
ENCODINGS = {"utf-8": "utf-8-sig", "latin-1": "latin-1"}
LONGEST_LINE = 16 * 1024 * 1024


@dlt.source(name="files")
def files(system: str, folder: Path, encoding: str, tables: dict[str, list[str]], work: Path, pulled: list[Pulled]):
    """One resource a table. Each appends its evidence to `pulled`; parsed files are kept in `work` until dlt has loaded them.

    Raises SourceFailed naming the file, and the line where there is one.
    """
    if encoding not in ENCODINGS:
        raise BadConfiguration(f"sources.{system}.encoding must be one of {', '.join(ENCODINGS)}, not {encoding!r}.")
    if not folder.is_dir():
        raise SourceFailed(f"{system}: there is no folder {folder}.")
    manifest = read_manifest(system, folder)
    for table, columns in tables.items():
        evidence = Pulled(system, table, "files")
        evidence.exported_at = manifest.get("exported_at")
        evidence.declared_total = manifest.get("records", {}).get(table)
        pulled.append(evidence)
        yield dlt.resource(read_table, name=table)(evidence, folder, encoding, columns, work)


def read_manifest(system: str, folder: Path) -> dict:
    """`manifest.json`, checked: `exported_at` as UTC, `records` as whole numbers. Empty where there is none."""
    path = folder / "manifest.json"
    if not path.exists():
        return {}
    try:
        manifest = json.loads(path.read_text(encoding="utf-8-sig"))
        records = manifest.get("records") or {}
        if not all(total is None or (type(total) is int and total >= 0) for total in records.values()):
            raise ValueError("a total under records is not a whole number")
        exported_at = manifest.get("exported_at")
        return {"records": records, "exported_at": exported_at and parse_time(exported_at, "exported_at")}
    except (AttributeError, ValueError, BadConfiguration) as error:
        raise SourceFailed(f"{system}: {path} can't be read: {error}") from error


def read_table(evidence: Pulled, folder: Path, encoding: str, columns: list[str], work: Path) -> Iterator:
    """Yields one Parquet file a part for dlt to import, and fills `evidence`."""
    evidence.started_at = datetime.now(UTC)
    parts, gap = find_parts(evidence.system, folder, evidence.table_name)
    before = [part.stat() for part in parts]
    digest = hashlib.sha256()
    unmapped = set()
    with duckdb.connect() as reader:
        reader.execute("set TimeZone = 'UTC'; set preserve_insertion_order = false; set memory_limit = '1GB'")
        reader.execute(f"set temp_directory = '{quoted(work / 'spill')}'")
        for number, part in enumerate(parts):
            with part.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
            try:
                target = work / f"{evidence.system}_{evidence.table_name}_{number}.parquet"
                landed, records, extra = parse_part(reader, part, columns, encoding, target)
            except (duckdb.IOException, duckdb.OutOfMemoryException):
                raise
            except duckdb.Error as error:
                raise SourceFailed(f"{evidence.system}: {part} can't be read: {reason(error)}") from error
            unmapped |= extra
            evidence.fetched += records
            yield dlt.mark.with_file_import(str(landed), "parquet", records, hints=pyarrow.parquet.read_schema(landed).empty_table())
    has_changed = [part.stat() for part in parts] != before and [
        (now.st_size, now.st_mtime_ns) for now in (part.stat() for part in parts)
    ] != [(then.st_size, then.st_mtime_ns) for then in before]
    evidence.files = len(parts)
    evidence.bytes = sum(stat.st_size for stat in before)
    evidence.digest = digest.hexdigest()
    evidence.unmapped_columns = ", ".join(sorted(unmapped))
    evidence.end_seen = not has_changed and gap is None
    evidence.end_evidence = "a file changed while it was read" if has_changed else gap or "every file was read to its end"
    evidence.finished_at = datetime.now(UTC)


def find_parts(system: str, folder: Path, table: str) -> tuple[list[Path], str | None]:
    """The files of a table in order of their number, and what is missing between them (None where nothing is)."""
    named = re.compile(rf"{table}([-_. ]?(part)?[-_. ]?(?P<number>\d+))?", re.IGNORECASE)
    found = [
        (int(match["number"] or 0), path)
        for path in folder.iterdir()
        if path.suffix.lower() in FORMATS and (match := named.fullmatch(path.stem))
    ]
    if (folder / table).is_dir():
        found += [
            (int(number[-1]) if (number := re.findall(r"\d+", path.stem)) else 0, path)
            for path in (folder / table).iterdir()
            if path.suffix.lower() in FORMATS
        ]
    if not found:
        raise SourceFailed(
            f"{system}: there is no file for {table} in {folder} (wanted: {table}.csv, .jsonl or .parquet, or {table}-1.csv, …)."
        )
    if len({FORMATS[path.suffix.lower()] for _, path in found}) > 1:
        raise SourceFailed(f"{system}: {folder} holds {table} in more than one format; keep one.")
    found.sort()
    numbers = [number for number, _ in found]
    if len(set(numbers)) < len(numbers):
        raise SourceFailed(f"{system}: {folder} holds two files with the same part number for {table}; keep one.")
    missing = sorted(set(range(min(numbers[0], 1), numbers[-1])) - set(numbers))
    gap = f"part {missing[0]} of {table} is missing" if len(numbers) > 1 and missing else None
    return [path for _, path in found], gap


def parse_part(
    reader: duckdb.DuckDBPyConnection, part: Path, columns: list[str], encoding: str, target: Path
) -> tuple[Path, int, set[str]]:
    """A Parquet file that holds the part's declared columns, its number of records, and the part's undeclared columns."""
    kind = FORMATS[part.suffix.lower()]
    relation, present = {"csv": csv_relation, "jsonl": jsonl_relation, "parquet": parquet_relation}[kind](reader, part, encoding)
    missing = [column for column in columns if column not in present]
    if missing:
        raise SourceFailed(f"{part} has no column {missing[0]!r}; it has: {', '.join(map(repr, sorted(present)))}.")
    extra = set(present) - set(columns)
    is_flat = not any(present[column].startswith(("STRUCT", "MAP", "UNION")) or present[column].endswith("]") for column in columns)
    if kind == "parquet" and is_flat and not extra:
        return part, reader.execute(f"select count(*) from {relation}").fetchone()[0], extra
    wanted = ", ".join(
        f'"{column}"' if present[column] != "JSON" and is_flat else f'"{column}"::json::varchar as "{column}"' for column in columns
    )
    records = reader.execute(f"copy (select {wanted} from {relation}) to '{quoted(target)}' (format parquet)").fetchone()[0]
    if kind == "csv":
        refuse_second_header(reader, part, columns, target)
    return target, records, extra


def csv_relation(reader: duckdb.DuckDBPyConnection, part: Path, encoding: str) -> tuple[str, dict[str, str]]:
    """The delimiter is the one of , ; tab that the header has most of; every column is text."""
    try:
        with part.open(encoding=ENCODINGS[encoding], newline="") as content:
            header = content.readline(LONGEST_LINE)
    except UnicodeDecodeError as error:
        raise SourceFailed(f'{part}, line 1, is not {encoding}; if it is Latin-1, set encoding = "latin-1" for its source.') from error
    if not header.strip():
        raise SourceFailed(f"{part}, line 1: there is no header; the file is empty.")
    delimiter = max(",;\t", key=header.count)
    names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter))]
    doubled = [name for name in names if names.count(name) > 1]
    if doubled:
        raise SourceFailed(f"{part}, line 1: the column {doubled[0]!r} stands twice in the header.")
    present = dict.fromkeys(names, "VARCHAR")
    return (
        f"read_csv('{quoted(part)}', auto_detect=false, header=true, delim='{delimiter}', quote='\"', escape='\"', strict_mode=true,"
        f" encoding='{encoding}', max_line_size={LONGEST_LINE}, buffer_size={2 * LONGEST_LINE}, columns={struct(present)})"
    ), present


def jsonl_relation(reader: duckdb.DuckDBPyConnection, part: Path, encoding: str) -> tuple[str, dict[str, str]]:
    """Keys may differ from line to line; values become the text they were written as."""
    lines = f"read_ndjson_objects('{quoted(part)}', maximum_object_size={LONGEST_LINE})"
    kinds, keys = reader.execute(
        f"select list(distinct json_type(json)), list_distinct(flatten(list(distinct json_keys(json)))) from {lines}"
    ).fetchone()
    if set(kinds or []) - {"OBJECT"}:
        raise SourceFailed(f"{part}: every line must be one JSON object.")
    present = dict.fromkeys(keys or [], "VARCHAR")
    fields = ", ".join(f'json ->> \'$."{key}"\' as "{key}"' for key in present if re.fullmatch(r"\w+", key))
    return f"(select {fields or 'null'} from {lines})", present


def parquet_relation(reader: duckdb.DuckDBPyConnection, part: Path, encoding: str) -> tuple[str, dict[str, str]]:
    relation = f"read_parquet('{quoted(part)}', hive_partitioning=false)"
    return relation, {name: kind for name, kind, *_ in reader.execute(f"describe select * from {relation}").fetchall()}


def refuse_second_header(reader: duckdb.DuckDBPyConnection, part: Path, columns: list[str], target: Path) -> None:
    """A header in the middle is what `cat` leaves; read as a record it would pass for one."""
    is_header = " and ".join(f"\"{column}\" = '{column}'" for column in columns)
    if reader.execute(f"select count(*) from '{quoted(target)}' where {is_header}").fetchone()[0]:
        with part.open("rb") as content:
            header = content.readline().lstrip(b"\xef\xbb\xbf").strip()
            line = next((number for number, line in enumerate(content, 2) if line.strip() == header), "?")
        raise SourceFailed(f"{part}, line {line}: the header stands there again.")


def struct(columns: dict[str, str]) -> str:
    """Column names and types as a DuckDB struct literal."""
    return "{" + ", ".join(f"'{quoted(name)}': '{kind}'" for name, kind in columns.items()) + "}"


def quoted(text: Path | str) -> str:
    return str(text).replace("'", "''")


def reason(error: duckdb.Error) -> str:
    """DuckDB's reason without the record it quotes: the line, and what is wrong with it."""
    said = str(error)
    line = re.search(r"(?:CSV Error on Line|in line|line):? (\d+)", said)
    what = re.search(
        r"Expected Number of Columns: \d+ Found: \d+|[^\n]*unterminated quote[^\n]*|Invalid unicode[^\n]*|Malformed JSON"
        r"|Maximum line size[^\n]*|maximum_object_size[^\n]*|No magic bytes[^\n]*|invalid state",
        said,
    )
    return f"line {line[1]}: " * bool(line) + (what[0] if what else said.split("\n")[0])
