"""Exports in a folder, here or in an object store: one file, or numbered parts, per table, as CSV, JSONL, Parquet or .xlsx.

DuckDB's readers parse, strictly; dlt loads what they wrote. What arrives untyped lands as text, what arrives typed keeps its type.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import dlt
import duckdb
import pyarrow

from pipelines.evidence import Pulled
from pipelines.failures import BadConfiguration, SourceFailed
from pipelines.settings import parse_time, quoted
from pipelines.sources.formats import ENCODINGS, FORMATS, parse_part, reason
from pipelines.sources.landing import imported
from pipelines.sources.side import Side
from pipelines.sources.stores import LocalFolder, Part, RemoteFolder, opened

DATE_AND_NUMBER = r"([-_. ]?(?P<date>(19|20)\d{2}-?[01]\d-?[0-3]\d([T_-]?\d{6}Z?)?))?([-_. ]?(part)?[-_. ]?(?P<number>\d{1,9}))?"
ENDING = r"\.\w+(\.(gz|bz2|xz|zip|zst))?"
MANIFEST = "manifest.json"
Folder = LocalFolder | RemoteFolder


@dlt.source(name="files")
def files(side: Side):
    """One resource a table. Parsed files are kept in the side's work folder until dlt has loaded them.

    Raises SourceFailed naming the file, and the line where there is one.
    """
    system, encoding = side.system, side.setting("encoding", "utf-8")
    if encoding not in ENCODINGS:
        raise BadConfiguration(f"sources.{system}.encoding must be one of {', '.join(ENCODINGS)}, not {encoding!r}.")
    folder, tables = opened(side), side.tables()
    listing = folder.listed(tables)
    manifest = read_manifest(system, folder, listing, set(tables))
    for table, columns in tables.items():
        evidence = side.evidence(table, "files")
        evidence.exported_at = manifest.get("exported_at")
        evidence.declared_total = manifest.get("records", {}).get(table)
        evidence.is_counted_apart = True
        evidence.declared_by = None if evidence.declared_total is None else MANIFEST
        yield dlt.resource(read_table, name=table)(evidence, folder, listing, encoding, columns, side)


def read_manifest(system: str, folder: Folder, listing: list[Part], tables: set[str]) -> dict:
    """`manifest.json`, checked: `exported_at` as UTC, `records` as whole numbers. Empty where there is none."""
    part = next(manifests(listing), None)
    if part is None:
        return {}
    folder.fetch(part)
    try:
        manifest = json.loads(part.path.read_text(encoding="utf-8-sig"))
        records = manifest.get("records") or {}
        if not all(total is None or (type(total) is int and total >= 0) for total in records.values()):
            raise ValueError("a total under records is not a whole number")
        unknown = [
            *(set(manifest) - {"exported_at", "records"}),
            *(name for name in set(records) - tables if not named_after(name, folder.listed([name]))),
        ]
        if unknown:
            raise ValueError(f"it says {unknown[0]!r}, which is neither exported_at, records nor a table of this folder")
        exported_at = manifest.get("exported_at")
        return {"records": records, "exported_at": exported_at and parse_time(exported_at, "exported_at")}
    except (AttributeError, ValueError, BadConfiguration) as error:
        raise SourceFailed(f"{system}: {part} can't be read: {error}") from error


def manifests(listing: list[Part]) -> Iterator[Part]:
    return (part for part in listing if (part.folder, part.name) == ("", MANIFEST))


def read_table(evidence: Pulled, folder: Folder, listing: list[Part], encoding: str, columns: list[str], side: Side) -> Iterator:
    """Yields one Parquet file a part for dlt to import, and fills `evidence`."""
    evidence.started_at = datetime.now(UTC)
    system, table = evidence.system, evidence.table_name
    parts, gap = find_parts(system, folder, listing, table)
    digest = hashlib.sha256()
    unmapped = set()
    with duckdb.connect() as reader:
        reader.execute("set TimeZone = 'UTC'; set preserve_insertion_order = false; set memory_limit = '2GB'")
        reader.execute(f"set temp_directory = '{quoted(side.work / 'spill')}'")
        for number, part in enumerate(parts):
            folder.fetch(part)
            with part.path.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
            try:
                target = side.work / f"{system}_{table}_{number}.parquet"
                landed, records, extra = parse_part(reader, part, table, columns, encoding, target)
            except (duckdb.IOException, duckdb.OutOfMemoryException):
                raise
            except (duckdb.Error, pyarrow.ArrowException) as error:
                raise SourceFailed(f"{system}: {part} can't be read: {reason(error, part)}") from error
            if landed != part.path:
                folder.release(part)
            unmapped |= extra
            evidence.fetched += records
            side.go_on()
            yield imported(landed, records)
    has_changed = state(table, folder.listed([table])) != state(table, listing)
    evidence.files = len(parts)
    evidence.bytes = sum(part.size for part in parts)
    evidence.written_at = max(part.written_at for part in parts)
    evidence.digest = digest.hexdigest()
    evidence.unmapped_columns = ", ".join(sorted(unmapped))
    evidence.end_seen = not has_changed and gap is None
    evidence.end_evidence = "a file changed while it was read" if has_changed else gap or "every file was read to its end"
    evidence.finished_at = datetime.now(UTC)


def state(table: str, listing: list[Part]) -> set[Part]:
    """What a table is read from. It is another one where a part was added, or came anew, or one is gone."""
    return {*manifests(listing), *(part for _, part in named_after(table, listing))}


def find_parts(system: str, folder: Folder, listing: list[Part], table: str) -> tuple[list[Part], str | None]:
    """The files of a table in order of their number, and what is missing between them (None where nothing is)."""
    named = named_after(table, listing)
    unknown = [part for _, part in named if part.suffix not in FORMATS]
    if unknown:
        raise SourceFailed(
            f"{system}: {unknown[0]} looks like a part of {table} in a format that can't be read; convert it or take it away."
        )
    if not named:
        raise SourceFailed(
            f"{system}: there is no file for {table} in {folder} (wanted: {table}.csv, .jsonl, .parquet or .xlsx, or {table}-1.csv, …)."
        )
    if len({FORMATS[part.suffix] for _, part in named}) > 1:
        raise SourceFailed(f"{system}: {folder} holds {table} in more than one format; keep one.")
    if len({match["date"] for match, _ in named}) > 1:
        raise SourceFailed(f"{system}: {folder} holds {table} of more than one date; keep one.")
    found = sorted(((int(match["number"] or 0), part) for match, part in named), key=lambda numbered: (numbered[0], str(numbered[1])))
    numbers = [number for number, _ in found]
    if len(set(numbers)) < len(numbers):
        raise SourceFailed(f"{system}: {folder} holds two files with the same part number for {table}; keep one.")
    missing = next((number for number, there in enumerate(numbers, min(numbers[0], 1)) if number != there), None)
    gap = None if missing is None else f"part {missing} of {table} is missing"
    return [part for _, part in found], gap


def named_after(table: str, listing: list[Part]) -> list[tuple[re.Match, Part]]:
    """The files named after a table, with a date and a part's number or without, and all of the table's own folder:
    Spark's part-00000-8b7b20ee-….snappy.parquet is part 0. Not what writers leave beside them (_SUCCESS, .part-0.crc, ~$customers.xlsx).
    """
    names = {"": rf"{re.escape(table)}{DATE_AND_NUMBER}{ENDING}", table: rf"\D*?{DATE_AND_NUMBER}([-_. ].*)?|.*"}
    return [
        (match, part)
        for part in listing
        if part.folder in names and part.name[0] not in "._~" and (match := re.fullmatch(names[part.folder], part.name, re.IGNORECASE))
    ]
