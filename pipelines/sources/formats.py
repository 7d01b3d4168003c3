"""What one file of an export holds: CSV, JSONL, Parquet and .xlsx, each as a Parquet file of the declared columns, or refused.

DuckDB's readers parse, strictly. What arrives untyped becomes text, what arrives typed keeps its type.
"""

import csv
import glob
import json
import re
from pathlib import Path

import duckdb
import pyarrow.parquet
from pyarrow.types import is_nested

from pipelines.failures import SourceFailed
from pipelines.settings import quoted
from pipelines.sources import spreadsheet
from pipelines.sources.landing import refuse_missing
from pipelines.sources.stores import Part

FORMATS = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".xlsx": "xlsx"}
ENCODINGS = {"utf-8": "utf-8-sig", "latin-1": "latin-1"}
OTHER_ENCODING = 'if it is Latin-1, set encoding = "latin-1" for its source.'
USUAL_LINE = 2 * 1024 * 1024
LONGEST_LINE = 16 * 1024 * 1024


def parse_part(
    reader: duckdb.DuckDBPyConnection, part: Part, table: str, columns: list[str], encoding: str, target: Path
) -> tuple[Path, int, set[str]]:
    """A Parquet file that holds the part's declared columns, its number of records, and the part's undeclared columns."""
    if part.suffix == ".xlsx":
        return target, *spreadsheet.copied(part, table, columns, target)
    read = {"csv": read_csv, "jsonl": read_jsonl, "parquet": read_parquet}[FORMATS[part.suffix]]
    query, present = read(reader, part, columns, encoding)
    refuse_missing(str(part), columns, present)
    extra = set(present) - set(columns)
    if query is None:
        return part.path, pyarrow.parquet.read_metadata(part.path).num_rows, extra
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


def read_csv(reader: duckdb.DuckDBPyConnection, part: Part, columns: list[str], encoding: str) -> tuple[str, list[str]]:
    """A query of the declared columns as text, and the names in the header. The delimiter is the one of , ; tab it has most of."""
    with part.path.open("rb") as content:
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
        f"select {', '.join(column for column in columns if column in names) or 'null'} from read_csv({matching(part.path)},"
        f" auto_detect=false, header=true, delim='{delimiter}', quote='\"', escape='\"', strict_mode=true, encoding='{encoding}',"
        f" max_line_size=getvariable('line'), buffer_size=2 * {LONGEST_LINE}, columns={{{positions}}})"
    ), names


def read_jsonl(reader: duckdb.DuckDBPyConnection, part: Part, columns: list[str], encoding: str) -> tuple[str, list[str]]:
    """A query of the declared keys as the text they were written as, and all keys: they may differ from line to line."""
    lines = f"read_ndjson_objects({matching(part.path)}, maximum_object_size={LONGEST_LINE})"
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


def read_parquet(reader: duckdb.DuckDBPyConnection, part: Part, columns: list[str], encoding: str) -> tuple[str | None, list[str]]:
    """No query where the file can be imported as it is; else one that turns what is nested or uncommon into text."""
    schema = pyarrow.parquet.read_schema(part.path)
    if schema.names == columns and all(map(is_common, schema.types)):
        return None, schema.names
    wanted = [
        column if is_common(kind) else f"to_json({column})::varchar as {column}" if is_nested(kind) else f"{column}::varchar as {column}"
        for column, kind in ((column, schema.field(column).type) for column in columns if column in schema.names)
    ]
    return f"select {', '.join(wanted) or 'null'} from read_parquet({matching(part.path)}, hive_partitioning=false)", schema.names


def is_common(kind: pyarrow.DataType) -> bool:
    """Types that dlt and DuckDB carry unchanged."""
    types = pyarrow.types
    is_number = types.is_boolean(kind) or types.is_floating(kind) or types.is_decimal128(kind)
    is_number = is_number or (types.is_integer(kind) and not types.is_uint64(kind))
    is_time = types.is_date32(kind) or (types.is_timestamp(kind) and kind.unit in ("ms", "us"))
    return is_number or is_time or types.is_string(kind) or types.is_large_string(kind)


def refuse_second_header(reader: duckdb.DuckDBPyConnection, part: Part, columns: list[str], target: Path) -> None:
    """A header in the middle is what `cat` leaves; read as a record it would pass for one."""
    is_header = " and ".join(f"contains({column}, '{column}') and trim({column}, ' \ufeff') = '{column}'" for column in columns)
    if reader.execute(f"select count(*) from {matching(target)} where {is_header}").fetchone()[0]:
        with part.path.open("rb") as content:
            header = bare(content.readline())
            line = next((number for number, line in enumerate(content, 2) if bare(line) == header), "?")
        raise SourceFailed(f"{part}, line {line}: the header stands there again.")


def bare(line: bytes) -> bytes:
    return line.replace(b"\xef\xbb\xbf", b"").replace(b" ", b"").strip()


def matching(path: Path) -> str:
    """This path and no other, as a literal for DuckDB, which would take [ ] and * for a pattern."""
    return f"'{quoted(glob.escape(str(path)))}'"


def reason(error: Exception, part: Part) -> str:
    """The reader's reason without the record it quotes: the line, and what is wrong with it."""
    said = str(error).replace(str(part.path), str(part))
    line = re.search(r"CSV Error on Line: (\d+)", said)
    what = re.search(
        r"Expected Number of Columns: \d+ Found: \d+|[^\n]*unterminated quote[^\n]*|Invalid unicode[^\n]*|Malformed JSON"
        r"|Maximum line size[^\n]*|maximum_object_size[^\n]*|No magic bytes[^\n]*|invalid state|a number under[^\n]*",
        said,
    )
    where = f"line {line[1]}: " if line else f"line {malformed_line(part)}: " if "Malformed JSON" in said else ""
    hint = f" {OTHER_ENCODING}" if "Invalid unicode" in said else ""
    return where + (what[0] if what else said.split("\n")[0]) + hint


def malformed_line(part: Part) -> int | str:
    """The first line that is no JSON; DuckDB counts from another one."""
    with part.path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            try:
                json.loads(line or "null")
            except ValueError:
                if line.strip():
                    return number
    return "?"
