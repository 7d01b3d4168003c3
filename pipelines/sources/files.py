"""Exports in a folder: one file, or numbered parts, per table, as CSV, JSONL or Parquet.

DuckDB's readers parse, strictly; dlt loads what they wrote. What arrives untyped lands as text, what arrives typed keeps its type.
"""

import csv
import glob
import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dlt
import duckdb
import pyarrow.parquet
from pyarrow.types import is_nested

from pipelines import settings
from pipelines.evidence import Pulled
from pipelines.failures import BadConfiguration, SourceFailed
from pipelines.settings import parse_time, quoted
from pipelines.sources.landing import imported, refuse_missing
from pipelines.sources.side import Side

FORMATS = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
ENCODINGS = {"utf-8": "utf-8-sig", "latin-1": "latin-1"}
OTHER_ENCODING = 'if it is Latin-1, set encoding = "latin-1" for its source.'
DATE_AND_NUMBER = r"([-_. ]?(?P<date>(19|20)\d{2}-?[01]\d-?[0-3]\d([T_-]?\d{6}Z?)?))?([-_. ]?(part)?[-_. ]?(?P<number>\d{1,9}))?"
ENDING = r"\.\w+(\.(gz|bz2|xz|zip|zst))?"
USUAL_LINE = 2 * 1024 * 1024
LONGEST_LINE = 16 * 1024 * 1024


@dlt.source(name="files")
def files(side: Side):
    """One resource a table. Parsed files are kept in the side's work folder until dlt has loaded them.

    Raises SourceFailed naming the file, and the line where there is one.
    """
    system, encoding = side.system, side.setting("encoding", "utf-8")
    folder = settings.ROOT / side.setting("path")
    if encoding not in ENCODINGS:
        raise BadConfiguration(f"sources.{system}.encoding must be one of {', '.join(ENCODINGS)}, not {encoding!r}.")
    if not folder.is_dir():
        raise SourceFailed(f"{system}: there is no folder {folder}.")
    tables = side.tables()
    manifest = read_manifest(system, folder, set(tables))
    for table, columns in tables.items():
        evidence = side.evidence(table, "files")
        evidence.exported_at = manifest.get("exported_at")
        evidence.declared_total = manifest.get("records", {}).get(table)
        evidence.declared_by = None if evidence.declared_total is None else "manifest.json"
        yield dlt.resource(read_table, name=table)(evidence, folder, encoding, columns, side.work)


def read_manifest(system: str, folder: Path, tables: set[str]) -> dict:
    """`manifest.json`, checked: `exported_at` as UTC, `records` as whole numbers. Empty where there is none."""
    path = folder / "manifest.json"
    if not path.exists():
        return {}
    try:
        manifest = json.loads(path.read_text(encoding="utf-8-sig"))
        records = manifest.get("records") or {}
        if not all(total is None or (type(total) is int and total >= 0) for total in records.values()):
            raise ValueError("a total under records is not a whole number")
        unknown = [
            *(set(manifest) - {"exported_at", "records"}),
            *(name for name in set(records) - tables if not is_exported(folder, name)),
        ]
        if unknown:
            raise ValueError(f"it says {unknown[0]!r}, which is neither exported_at, records nor a table of this folder")
        exported_at = manifest.get("exported_at")
        return {"records": records, "exported_at": exported_at and parse_time(exported_at, "exported_at")}
    except (AttributeError, ValueError, BadConfiguration) as error:
        raise SourceFailed(f"{system}: {path} can't be read: {error}") from error


def is_exported(folder: Path, table: str) -> bool:
    return (folder / table).is_dir() or bool(named_after(table, folder))


def read_table(evidence: Pulled, folder: Path, encoding: str, columns: list[str], work: Path) -> Iterator:
    """Yields one Parquet file a part for dlt to import, and fills `evidence`."""
    evidence.started_at = datetime.now(UTC)
    parts, gap = find_parts(evidence.system, folder, evidence.table_name)
    before = [part.stat() for part in parts]
    digest = hashlib.sha256()
    unmapped = set()
    with duckdb.connect() as reader:
        reader.execute("set TimeZone = 'UTC'; set preserve_insertion_order = false; set memory_limit = '2GB'")
        reader.execute(f"set temp_directory = '{quoted(work / 'spill')}'")
        for number, part in enumerate(parts):
            with part.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
            try:
                target = work / f"{evidence.system}_{evidence.table_name}_{number}.parquet"
                landed, records, extra = parse_part(reader, part, columns, encoding, target)
            except (duckdb.IOException, duckdb.OutOfMemoryException):
                raise
            except (duckdb.Error, pyarrow.ArrowException) as error:
                raise SourceFailed(f"{evidence.system}: {part} can't be read: {reason(error, part)}") from error
            unmapped |= extra
            evidence.fetched += records
            yield imported(landed, records)
    now = [part.stat() for part in parts]
    has_changed = [(stat.st_size, stat.st_mtime_ns) for stat in now] != [(stat.st_size, stat.st_mtime_ns) for stat in before]
    evidence.files = len(parts)
    evidence.bytes = sum(stat.st_size for stat in before)
    evidence.written_at = datetime.fromtimestamp(max(stat.st_mtime for stat in before), UTC)
    evidence.digest = digest.hexdigest()
    evidence.unmapped_columns = ", ".join(sorted(unmapped))
    evidence.end_seen = not has_changed and gap is None
    evidence.end_evidence = "a file changed while it was read" if has_changed else gap or "every file was read to its end"
    evidence.finished_at = datetime.now(UTC)


def find_parts(system: str, folder: Path, table: str) -> tuple[list[Path], str | None]:
    """The files of a table in order of their number, and what is missing between them (None where nothing is)."""
    named = [
        *named_after(table, folder),
        *matches(folder / table, rf"\D*?{DATE_AND_NUMBER}([-_. ].*)?|.*"),  # Spark's part-00000-8b7b20ee-….snappy.parquet is part 0
    ]
    found = [(int(match["number"] or 0), path) for match, path in named]
    unknown = [path for _, path in found if path.suffix.lower() not in FORMATS]
    if unknown:
        raise SourceFailed(
            f"{system}: {unknown[0]} looks like a part of {table} in a format that can't be read; convert it or take it away."
        )
    if not found:
        raise SourceFailed(
            f"{system}: there is no file for {table} in {folder} (wanted: {table}.csv, .jsonl or .parquet, or {table}-1.csv, …)."
        )
    if len({FORMATS[path.suffix.lower()] for _, path in found}) > 1:
        raise SourceFailed(f"{system}: {folder} holds {table} in more than one format; keep one.")
    if len({match["date"] for match, _ in named}) > 1:
        raise SourceFailed(f"{system}: {folder} holds {table} of more than one date; keep one.")
    found.sort()
    numbers = [number for number, _ in found]
    if len(set(numbers)) < len(numbers):
        raise SourceFailed(f"{system}: {folder} holds two files with the same part number for {table}; keep one.")
    missing = next((number for number, there in enumerate(numbers, min(numbers[0], 1)) if number != there), None)
    gap = None if missing is None else f"part {missing} of {table} is missing"
    return [path for _, path in found], gap


def named_after(table: str, folder: Path) -> list[tuple[re.Match, Path]]:
    """The folder's files named after a table, with a date and a part's number or without."""
    return matches(folder, rf"{re.escape(table)}{DATE_AND_NUMBER}{ENDING}")


def matches(folder: Path, name: str) -> list[tuple[re.Match, Path]]:
    """The folder's files of such a name, without what writers leave beside them (_SUCCESS, .part-0.crc); none where it is missing."""
    files = [path for path in folder.iterdir() if path.is_file() and path.name[0] not in "._"] if folder.is_dir() else []
    return [(match, path) for path in files if (match := re.fullmatch(name, path.name, re.IGNORECASE))]


def parse_part(
    reader: duckdb.DuckDBPyConnection, part: Path, columns: list[str], encoding: str, target: Path
) -> tuple[Path, int, set[str]]:
    """A Parquet file that holds the part's declared columns, its number of records, and the part's undeclared columns."""
    read = {"csv": read_csv, "jsonl": read_jsonl, "parquet": read_parquet}[FORMATS[part.suffix.lower()]]
    query, present = read(reader, part, columns, encoding)
    refuse_missing(str(part), columns, present)
    extra = set(present) - set(columns)
    if query is None:
        return part, pyarrow.parquet.read_metadata(part).num_rows, extra
    records = written(reader, query, target)
    if read is read_csv:
        refuse_second_header(reader, part, columns, target)
    return target, records, extra


def written(reader: duckdb.DuckDBPyConnection, query: str, target: Path) -> int:
    """Writes what the query reads; returns the number of records. Room for the longest line costs the CSV reader its second core."""
    for line in (USUAL_LINE, LONGEST_LINE):
        reader.execute(f"set variable line = {line}")
        try:
            return reader.execute(f"copy ({query}) to '{quoted(target)}' (format parquet)").fetchone()[0]
        except duckdb.InvalidInputException as error:
            if line == LONGEST_LINE or "Maximum line size" not in str(error):
                raise


def read_csv(reader: duckdb.DuckDBPyConnection, part: Path, columns: list[str], encoding: str) -> tuple[str, list[str]]:
    """A query of the declared columns as text, and the names in the header. The delimiter is the one of , ; tab it has most of."""
    with part.open("rb") as content:
        first_line = content.readline(LONGEST_LINE).split(b"\r")[0]
    try:
        header = first_line.decode(ENCODINGS[encoding])
    except UnicodeDecodeError as error:
        raise SourceFailed(f"{part}, line 1, is not {encoding}; {OTHER_ENCODING}") from error
    if not header.strip():
        raise SourceFailed(f"{part}, line 1: there is no header; the file is empty.")
    delimiter = max(",;\t", key=header.count)
    names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter))]
    doubled = [name for name in names if names.count(name) > 1]
    if doubled:
        raise SourceFailed(f"{part}, line 1: the column {doubled[0]!r} stands twice in the header.")
    positions = ", ".join(f"'{name if name in columns else f'undeclared {n}'}': 'VARCHAR'" for n, name in enumerate(names))
    return (
        f"select {', '.join(column for column in columns if column in names) or 'null'} from read_csv({matching(part)},"
        f" auto_detect=false, header=true, delim='{delimiter}', quote='\"', escape='\"', strict_mode=true, encoding='{encoding}',"
        f" max_line_size=getvariable('line'), buffer_size=2 * {LONGEST_LINE}, columns={{{positions}}})"
    ), names


def read_jsonl(reader: duckdb.DuckDBPyConnection, part: Path, columns: list[str], encoding: str) -> tuple[str, list[str]]:
    """A query of the declared keys as the text they were written as, and all keys: they may differ from line to line."""
    lines = f"read_ndjson_objects({matching(part)}, maximum_object_size={LONGEST_LINE})"
    kinds, keys = reader.execute(
        f"select list(distinct json_type(json)), list_distinct(flatten(list(distinct json_keys(json)))) from {lines}"
    ).fetchone()
    if set(kinds or []) - {"OBJECT"}:
        raise SourceFailed(f"{part}: every line must be one JSON object.")
    wanted = [f"{json_text(column)} as {column}" for column in columns if column in (keys or [])]
    return f"select {', '.join(wanted) or 'null'} from {lines}", keys or []


def json_text(key: str) -> str:
    """A key's value as text. DuckDB reads fractions as doubles; the digits are taken where only one text under this key is that double."""
    value = f"json ->> '$.{key}'"
    texts = f"regexp_extract_all(json, '\"{key}\"\\s*:\\s*(-?[0-9][0-9.eE+-]*)', 1)"
    written = f"list_distinct(list_filter({texts}, lambda text: try_cast(text as double) = ({value})::double))"
    return (
        f"case when json_type(json, '$.{key}') is distinct from 'DOUBLE' then {value} when len({written}) = 1 then {written}[1]"
        f" else error('a number under {key} would lose digits; write it as a string') end"
    )


def read_parquet(reader: duckdb.DuckDBPyConnection, part: Path, columns: list[str], encoding: str) -> tuple[str | None, list[str]]:
    """No query where the file can be imported as it is; else one that turns what is nested or uncommon into text."""
    schema = pyarrow.parquet.read_schema(part)
    if schema.names == columns and all(map(is_common, schema.types)):
        return None, schema.names
    wanted = [
        column if is_common(kind) else f"to_json({column})::varchar as {column}" if is_nested(kind) else f"{column}::varchar as {column}"
        for column, kind in ((column, schema.field(column).type) for column in columns if column in schema.names)
    ]
    return f"select {', '.join(wanted) or 'null'} from read_parquet({matching(part)}, hive_partitioning=false)", schema.names


def is_common(kind: pyarrow.DataType) -> bool:
    """Types that dlt and DuckDB carry unchanged."""
    types = pyarrow.types
    is_number = types.is_boolean(kind) or types.is_floating(kind) or types.is_decimal128(kind)
    is_number = is_number or (types.is_integer(kind) and not types.is_uint64(kind))
    is_time = types.is_date32(kind) or (types.is_timestamp(kind) and kind.unit in ("ms", "us"))
    return is_number or is_time or types.is_string(kind) or types.is_large_string(kind)


def refuse_second_header(reader: duckdb.DuckDBPyConnection, part: Path, columns: list[str], target: Path) -> None:
    """A header in the middle is what `cat` leaves; read as a record it would pass for one."""
    is_header = " and ".join(f"contains({column}, '{column}') and trim({column}, ' \ufeff') = '{column}'" for column in columns)
    if reader.execute(f"select count(*) from {matching(target)} where {is_header}").fetchone()[0]:
        with part.open("rb") as content:
            header = bare(content.readline())
            line = next((number for number, line in enumerate(content, 2) if bare(line) == header), "?")
        raise SourceFailed(f"{part}, line {line}: the header stands there again.")


def bare(line: bytes) -> bytes:
    return line.replace(b"\xef\xbb\xbf", b"").replace(b" ", b"").strip()


def matching(path: Path) -> str:
    """This path and no other, as a literal for DuckDB, which would take [ ] and * for a pattern."""
    return f"'{quoted(glob.escape(str(path)))}'"


def reason(error: Exception, part: Path) -> str:
    """The reader's reason without the record it quotes: the line, and what is wrong with it."""
    said = str(error)
    line = re.search(r"CSV Error on Line: (\d+)", said)
    what = re.search(
        r"Expected Number of Columns: \d+ Found: \d+|[^\n]*unterminated quote[^\n]*|Invalid unicode[^\n]*|Malformed JSON"
        r"|Maximum line size[^\n]*|maximum_object_size[^\n]*|No magic bytes[^\n]*|invalid state|a number under[^\n]*",
        said,
    )
    where = f"line {line[1]}: " if line else f"line {malformed_line(part)}: " if "Malformed JSON" in said else ""
    hint = f" {OTHER_ENCODING}" if "Invalid unicode" in said else ""
    return where + (what[0] if what else said.split("\n")[0]) + hint


def malformed_line(part: Path) -> int | str:
    """The first line that is no JSON; DuckDB counts from another one."""
    with part.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            try:
                json.loads(line or "null")
            except ValueError:
                if line.strip():
                    return number
    return "?"
