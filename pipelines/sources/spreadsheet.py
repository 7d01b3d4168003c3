"""The one sheet of an .xlsx file that holds a table, cell by cell as the text that was meant, or refused. openpyxl does the reading."""

import re
import warnings
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import IO
from xml.etree.ElementTree import Element, ParseError
from zipfile import BadZipFile
from zlib import error as BadDeflate

import pyarrow
import pyarrow.parquet
from openpyxl import Workbook, load_workbook
from openpyxl.cell.read_only import ReadOnlyCell
from openpyxl.utils import get_column_letter, range_boundaries
from openpyxl.utils.datetime import to_ISO8601
from openpyxl.utils.escape import unescape
from openpyxl.worksheet._read_only import ReadOnlyWorksheet
from openpyxl.worksheet._reader import FORMULA_TAG, WorkSheetParser

from pipelines.failures import SourceFailed
from pipelines.sources.landing import refuse_missing
from pipelines.sources.stores import Part

MOST_ROWS = 1_048_576
MOST_DIGITS = 15
ROWS_AT_ONCE = 10_000
FIRST_SAFE_DAY = "1900-03-01"  # before it Excel counts a leap day that was none
UNREADABLE = (BadZipFile, BadDeflate, ParseError, EOFError, OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError)

warnings.filterwarnings("ignore", module="openpyxl")  # of styles and extensions, which hold no values


class CellRefused(Exception):
    """Says why a cell can't be read exactly."""


class Cells(WorkSheetParser):
    """openpyxl's parser itself: its read-only sheet passes over rows that stand there twice, merged cells and formulas without a value."""

    def __init__(self, content: IO[bytes], sheet: ReadOnlyWorksheet):
        book = sheet.parent
        super().__init__(content, sheet._shared_strings, True, book.epoch, book._date_formats, book._timedelta_formats)

    def parse_cell(self, element: Element) -> dict:
        cell = super().parse_cell(element)
        if cell["value"] is None and cell["data_type"] != "str" and element.find(FORMULA_TAG) is not None:
            cell["data_type"] = "f"
        return cell


def copied(part: Part, table: str, columns: list[str], target: Path) -> tuple[int, set[str]]:
    """Writes the declared columns to a Parquet file; returns the number of records and the columns that nobody declared."""
    copy, count = Table(part, table, columns), 0
    records = copy.records()
    with pyarrow.parquet.ParquetWriter(target, pyarrow.schema([(column, pyarrow.string()) for column in columns])) as writer:
        while batch := list(islice(records, ROWS_AT_ONCE)):
            writer.write_table(pyarrow.table(list(zip(*batch, strict=True)), writer.schema))
            count += len(batch)
    return count, {*copy.names.values(), *copy.nameless} - set(columns)


class Table:
    """In `wanted`: which column of the sheet, counted from 1, goes to which of the declared."""

    def __init__(self, part: Part, name: str, columns: list[str]):
        self.part, self.name, self.columns = part, name, columns
        self.names: dict[int, str] = {}
        self.wanted: dict[int, int] = {}
        self.nameless: set[str] = set()

    def records(self) -> Iterator[list[str | None]]:
        try:
            with closing(load_workbook(self.part.path, read_only=True, data_only=True, keep_links=False)) as book:
                self.sheet = sheet_of(self.part, self.name, book)
                self.shown = f"{self.part}, sheet {self.sheet.title}"
                with self.sheet._get_source() as content:
                    yield from self.records_in(Cells(content, self.sheet))
        except UNREADABLE as error:
            what = "it is no .xlsx file, or is protected by a password, or was cut"
            raise SourceFailed(f"{self.part} can't be read: {what} ({type(error).__name__}).") from error

    def records_in(self, cells: Cells) -> Iterator[list[str | None]]:
        """Rows without any value are none. Reads to the last byte, so that the archive's own checksum is checked."""
        rows = cells.parse()
        last, header = next(rows, (1, []))
        self.read_header(header if last == 1 else [])
        for number, row in rows:
            if number <= last:
                raise SourceFailed(f"{self.shown}, row {number} stands there twice.")
            if record := self.record(row):
                self.refuse(record, number)
                yield record
            last = number
            cells.row_dimensions.clear()
        for merged in cells.merged_cells.mergeCell if cells.merged_cells else ():
            self.refuse_merged(merged.ref)

    def read_header(self, row: list[dict]) -> None:
        names = {cell["column"]: (self.value(cell) or "").strip() for cell in row}
        self.names = {column: name for column, name in names.items() if name}
        doubled = [name for name in self.names.values() if list(self.names.values()).count(name) > 1]
        if doubled:
            raise SourceFailed(f"{self.shown}, row 1: the column {doubled[0]!r} stands twice in the header.")
        if not self.names:
            raise SourceFailed(f"{self.shown}: row 1 holds no header.")
        refuse_missing(self.shown, self.columns, list(self.names.values()))
        self.wanted = {column: self.columns.index(name) for column, name in self.names.items() if name in self.columns}

    def record(self, row: list[dict]) -> list[str | None] | None:
        record, holds_something = [None] * len(self.columns), False
        for cell in row:
            column = cell["column"]
            if column in self.wanted:
                record[self.wanted[column]] = value = self.value(cell)
                holds_something = holds_something or value is not None
            elif cell["value"] not in (None, ""):
                holds_something = True
                if column not in self.names:
                    self.nameless.add(f"column {get_column_letter(column)}")
        return record if holds_something else None

    def value(self, stored: dict) -> str | None:
        cell = ReadOnlyCell(self.sheet, **stored)
        try:
            return meant(cell)
        except CellRefused as refused:
            raise SourceFailed(f"{self.shown}, cell {cell.coordinate} {refused}.") from None

    def refuse(self, record: list[str | None], number: int) -> None:
        if number >= MOST_ROWS:
            raise SourceFailed(f"{self.shown} is full to its last row, {MOST_ROWS:,}: what came after it was cut; export as CSV.")
        if record == self.columns:
            raise SourceFailed(f"{self.shown}, row {number}: the header stands there again.")

    def refuse_merged(self, reference: str) -> None:
        """A merged cell's value is stored in its first cell only, whichever rows it was meant for."""
        left, _, right, _ = range_boundaries(reference)
        touched = [self.names[column] for column in self.wanted if left <= column <= right]
        if touched:
            raise SourceFailed(f"{self.shown}: the cells {reference} of the column {touched[0]!r} are merged; split them.")


def sheet_of(part: Part, table: str, book: Workbook) -> ReadOnlyWorksheet:
    """The only visible sheet, or of several the one with the table's name."""
    visible = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
    named = [sheet for sheet in visible if sheet.title.strip().lower() == table]
    for found in (visible, named):
        if len(found) == 1:
            return found[0]
    names = ", ".join(repr(sheet.title) for sheet in visible) or "none"
    raise SourceFailed(f"{part} has several sheets ({names}); keep one, or name one {table!r}.")


def meant(cell: ReadOnlyCell) -> str | None:
    """Raises CellRefused."""
    value = cell.value
    if cell.data_type == "f":
        raise CellRefused("holds a formula whose value was not saved; open the file in a spreadsheet program and save it")
    if cell.data_type == "e":
        raise CellRefused(f"holds the error {value}")
    if value is None or isinstance(value, str):
        return unescape(value or "") or None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return number(value, cell)
    if not isinstance(value, date) or str(value) < FIRST_SAFE_DAY:
        raise CellRefused(f"holds {value} as a date, which is none")
    return to_ISO8601(value).removesuffix("T00:00:00")


def number(value: float, cell: ReadOnlyCell) -> str:
    """Without an exponent; what a fraction has behind 15 digits is what its calculation left there."""
    if not abs(value) < 10**MOST_DIGITS:
        raise CellRefused(f"holds a number of more than {MOST_DIGITS} digits, of which spreadsheets keep no more; store it as text")
    if cell.number_format == "General" and cell.style_array.numFmtId:
        raise CellRefused(f"has the number format {cell.style_array.numFmtId}, in some languages a date; choose one that all know")
    digits = format(Decimal(f"{value:.{MOST_DIGITS}g}"), "f")
    return digits.zfill(len(cell.number_format)) if re.fullmatch("00+", cell.number_format) else digits
