"""The one sheet of an .xlsx file that holds a table, cell by cell as the text that was meant.

DuckDB's reader tells neither a date from a number nor an error from a text, and a formula without a value is null to it.
"""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import reduce
from itertools import islice
from pathlib import Path
from typing import IO
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.parsers import expat
from zipfile import BadZipFile, ZipFile
from zlib import error as BadDeflate

import pyarrow
import pyarrow.parquet

from pipelines.failures import SourceFailed
from pipelines.sources.landing import refuse_missing
from pipelines.sources.stores import Part

MOST_ROWS = 1_048_576
MOST_DIGITS = 15
ROWS_AT_ONCE = 10_000
BYTES_AT_ONCE = 1024 * 1024
UNREADABLE = (
    BadZipFile,
    BadDeflate,
    EOFError,
    KeyError,
    ValueError,
    expat.ExpatError,
    ElementTree.ParseError,
    NotImplementedError,
    RuntimeError,
)
NO_SPREADSHEET = "it is no .xlsx file, or is protected by a password, or was cut"
DATES = {*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)}  # the numbers of formats that need no definition
NO_CODE = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.|_.|\*.')
FIRST_SAFE_DAY, LAST_DAY = 61, 2_958_466  # before March 1900 Excel counts a leap day that was none


class CellRefused(Exception):
    """Says why a cell can't be read exactly."""


@dataclass(slots=True)
class Cell:
    reference: str
    kind: str
    style: int
    stored: str | None = None
    is_formula: bool = False


def copied(part: Part, table: str, columns: list[str], target: Path) -> tuple[int, set[str]]:
    """Writes the declared columns to a Parquet file; returns the number of records and the columns that nobody declared."""
    try:
        with ZipFile(part.path) as archive:
            book = Book(archive)
            name, place = book.sheet_of(part, table)
            with archive.open(place) as content:
                return Sheet(f"{part}, sheet {name}", columns, book).copied(content, target)
    except UNREADABLE as error:
        raise SourceFailed(f"{part} can't be read: {NO_SPREADSHEET} ({type(error).__name__}).") from error


class Book:
    """What cells refer to: texts, styles, the first day."""

    def __init__(self, archive: ZipFile):
        (workbook,) = (place for kind, place in related(archive, "").values() if kind == "officeDocument")
        parts = related(archive, workbook)
        tree = parsed(archive, workbook)
        self.sheets = [
            (sheet.get("name"), parts[identifier][1])
            for sheet in tree.findall("{*}sheets/{*}sheet")
            for name, identifier in sheet.items()
            if name.endswith("}id") and parts[identifier][0] == "worksheet" and sheet.get("state", "visible") == "visible"
        ]
        properties = tree.find("{*}workbookPr")
        counts_from_1904 = properties is not None and properties.get("date1904") in ("1", "true")
        self.day_zero, self.first_day = (datetime(1904, 1, 1), 0) if counts_from_1904 else (datetime(1899, 12, 30), FIRST_SAFE_DAY)
        places = dict(parts.values())
        self.texts = list(texts(archive, places["sharedStrings"])) if "sharedStrings" in places else []
        self.formats = formats(parsed(archive, places["styles"])) if "styles" in places else []

    def sheet_of(self, part: Part, table: str) -> tuple[str, str]:
        """The only visible sheet, or of several the one with the table's name."""
        named = [sheet for sheet in self.sheets if sheet[0].strip().lower() == table]
        if len(self.sheets) == 1 or len(named) == 1:
            return (self.sheets if len(self.sheets) == 1 else named)[0]
        names = ", ".join(repr(name) for name, _ in self.sheets) or "none"
        raise SourceFailed(f"{part} has several sheets ({names}); keep one, or name one {table!r}.")

    def value(self, cell: Cell) -> str | None:
        """Raises CellRefused."""
        if cell.is_formula and not cell.stored and cell.kind != "str":
            raise CellRefused("holds a formula whose value was not saved; open the file in a spreadsheet program and save it")
        if not cell.stored:
            return None
        if cell.kind == "n":
            return self.number(cell.stored.strip(), cell.style)
        if cell.kind == "s":
            return self.texts[int(cell.stored)]
        if cell.kind == "e":
            raise CellRefused(f"holds the error {cell.stored}")
        if cell.kind == "b":
            return "true" if cell.stored.strip() in ("1", "true") else "false"
        return unescaped(cell.stored)

    def number(self, stored: str, style: int) -> str:
        number_format = self.formats[style] if style < len(self.formats) else "General"
        if number_format is None:
            return date(stored, self.day_zero, self.first_day)
        value = plain(stored)
        return value.zfill(len(number_format)) if re.fullmatch("00+", number_format) else value


class Cells:
    """A sheet's rows as expat comes by them: building elements of them takes three times as long, and memory."""

    def __init__(self):
        self.number, self.row, self.rows, self.merged = 0, [], [], []
        self.text: list[str] | None = None
        self.is_pronunciation = False

    def read(self, content: IO[bytes]) -> Iterator[tuple[int, list[Cell]]]:
        """To the last byte, so that the archive's own checksum is checked."""
        parser = expat.ParserCreate(namespace_separator="}")
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = self.start, self.end, self.characters
        while block := content.read(BYTES_AT_ONCE):
            parser.Parse(block, False)
            yield from self.rows
            self.rows.clear()
        parser.Parse(b"", True)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition("}")[2]
        if name == "c":
            reference = attributes.get("r") or f"{letters_of(len(self.row) + 1)}{self.number}"
            self.row.append(Cell(reference, attributes.get("t", "n"), int(attributes.get("s", 0))))
        elif name in ("v", "t"):
            self.text = []
        elif name == "row":
            self.number, self.row = int(attributes.get("r", self.number + 1)), []
        elif name == "f":
            self.row[-1].is_formula = True
        elif name == "rPh":
            self.is_pronunciation = True
        elif name == "mergeCell":
            self.merged.append(attributes["ref"])

    def characters(self, text: str) -> None:
        if self.text is not None:
            self.text.append(text)

    def end(self, tag: str) -> None:
        name = tag.rpartition("}")[2]
        if name in ("v", "t"):
            if not self.is_pronunciation:
                self.row[-1].stored = (self.row[-1].stored or "") + "".join(self.text)
            self.text = None
        elif name == "row":
            self.rows.append((self.number, self.row))
        elif name == "rPh":
            self.is_pronunciation = False


class Sheet:
    """One table's: the columns in its header, and those wanted of them, by the letters above."""

    def __init__(self, shown: str, columns: list[str], book: Book):
        self.shown, self.columns, self.book = shown, columns, book
        self.names: dict[str, str] = {}
        self.wanted: dict[str, int] = {}
        self.nameless: set[str] = set()

    def copied(self, content: IO[bytes], target: Path) -> tuple[int, set[str]]:
        cells, count = Cells(), 0
        schema = pyarrow.schema([(column, pyarrow.string()) for column in self.columns])
        records = self.records(cells.read(content))
        with pyarrow.parquet.ParquetWriter(target, schema) as writer:
            while batch := list(islice(records, ROWS_AT_ONCE)):
                writer.write_table(pyarrow.table(list(zip(*batch, strict=True)), schema))
                count += len(batch)
        if not self.names:
            raise SourceFailed(f"{self.shown}: row 1 holds no header.")
        for reference in cells.merged:
            self.refuse_merged(reference)
        return count, {*self.names.values(), *self.nameless} - set(self.columns)

    def records(self, rows: Iterator[tuple[int, list[Cell]]]) -> Iterator[list[str | None]]:
        """Rows without any value are none."""
        last = 0
        for number, row in rows:
            if number <= last:
                raise SourceFailed(f"{self.shown}, row {number} stands there twice.")
            last = number
            if number == 1:
                self.read_header(row)
            elif record := self.record(row):
                self.refuse(record, number)
                yield record

    def read_header(self, row: list[Cell]) -> None:
        for cell in row:
            name = (self.value(cell) or "").strip()
            if name and name in self.names.values():
                raise SourceFailed(f"{self.shown}, row 1: the column {name!r} stands twice in the header.")
            if name:
                self.names[letters_in(cell.reference)] = name
        if self.names:
            refuse_missing(self.shown, self.columns, list(self.names.values()))
        self.wanted = {letters: self.columns.index(name) for letters, name in self.names.items() if name in self.columns}

    def record(self, row: list[Cell]) -> list[str | None] | None:
        record, holds_something = [None] * len(self.columns), False
        for cell in row:
            letters = letters_in(cell.reference)
            place = self.wanted.get(letters)
            if place is not None:
                record[place] = self.value(cell)
                holds_something = holds_something or bool(record[place])
            elif cell.stored:
                holds_something = True
                if letters not in self.names:
                    self.nameless.add(f"column {letters}")
        return record if holds_something else None

    def value(self, cell: Cell) -> str | None:
        try:
            return self.book.value(cell)
        except CellRefused as refused:
            raise SourceFailed(f"{self.shown}, cell {cell.reference} {refused}.") from None
        except (ValueError, IndexError):
            raise SourceFailed(f"{self.shown}, cell {cell.reference} can't be read.") from None

    def refuse(self, record: list[str | None], number: int) -> None:
        if not self.names:
            raise SourceFailed(f"{self.shown}: row 1 holds no header.")
        if number >= MOST_ROWS:
            raise SourceFailed(f"{self.shown} is full to its last row, {MOST_ROWS:,}: what came after it was cut; export as CSV.")
        if record == self.columns:
            raise SourceFailed(f"{self.shown}, row {number}: the header stands there again.")

    def refuse_merged(self, reference: str) -> None:
        """A merged cell's value is stored in its first cell only, whichever rows it was meant for."""
        first, _, last = reference.partition(":")
        left, right = position_of(letters_in(first)), position_of(letters_in(last or first))
        touched = [self.names[letters] for letters in self.wanted if left <= position_of(letters) <= right]
        if touched:
            raise SourceFailed(f"{self.shown}: the cells {reference} of the column {touched[0]!r} are merged; split them.")


def related(archive: ZipFile, part: str) -> dict[str, tuple[str, str]]:
    """What a part of the archive refers to, by id: its kind and its place."""
    folder, name = posixpath.split(part)
    return {
        link.get("Id"): (link.get("Type").rpartition("/")[2], posixpath.normpath(posixpath.join("/", folder, link.get("Target")))[1:])
        for link in parsed(archive, posixpath.join(folder, "_rels", f"{name}.rels"))
    }


def parsed(archive: ZipFile, place: str) -> Element:
    with archive.open(place) as content:
        return ElementTree.parse(content).getroot()  # noqa: S314 (expat bounds what entities become)


def texts(archive: ZipFile, place: str) -> Iterator[str]:
    with archive.open(place) as content:
        for _, element in ElementTree.iterparse(content):  # noqa: S314
            if element.tag.endswith("}si"):
                yield unescaped(written(element))
                element.clear()


def written(rich: Element) -> str:
    """Runs of differently formatted text are one text; how it is pronounced is none of it."""
    return "".join(text.text or "" for text in [*rich.findall("{*}t"), *rich.findall("{*}r/{*}t")])


def unescaped(text: str) -> str:
    """What XML has no place for is written _x000D_, and _x005F_ is the underscore of a text that looks like that."""
    if "_x" not in text:
        return text
    units = re.sub("_x([0-9A-Fa-f]{4})_", lambda match: chr(int(match[1], 16)), text)
    return units.encode("utf-16", "surrogatepass").decode("utf-16")


def formats(styles: Element) -> list[str | None]:
    """Each style's number format; None where it is a date's or a time's."""
    codes = {int(code.get("numFmtId")): code.get("formatCode") for code in styles.findall("{*}numFmts/{*}numFmt")}
    numbers = [int(style.get("numFmtId", "0")) for style in styles.findall("{*}cellXfs/{*}xf")]
    used = [(number, codes.get(number, "General")) for number in numbers]
    return [
        None if (number in DATES and number not in codes) or re.search("[ymdhs]", NO_CODE.sub("", code), re.IGNORECASE) else code
        for number, code in used
    ]


def plain(stored: str) -> str:
    """As stored, without an exponent; what a fraction has behind 15 digits is what its calculation left there."""
    digits = stored.removeprefix("-").replace(".", "", 1)
    if digits.isascii() and digits.isdigit() and len(digits) <= MOST_DIGITS:
        return stored
    value = float(stored)
    if not abs(value) < 10**MOST_DIGITS:
        raise CellRefused(f"holds a number of more than {MOST_DIGITS} digits, of which spreadsheets keep no more; store it as text")
    return format(Decimal(f"{value:.{MOST_DIGITS}g}"), "f")


def date(stored: str, day_zero: datetime, first_day: int) -> str:
    """ISO 8601, to the millisecond as spreadsheets keep it."""
    serial = float(stored)
    if not first_day <= serial < LAST_DAY:
        raise CellRefused(f"holds {stored} as a date, which is none")
    time = day_zero + timedelta(milliseconds=round(serial * 86_400_000))
    if time.time() == datetime.min.time():
        return time.date().isoformat()
    return time.isoformat(timespec="milliseconds" if time.microsecond else "seconds")


def letters_in(reference: str) -> str:
    return reference.rstrip("0123456789").replace("$", "")


def letters_of(position: int) -> str:
    """1 is A, 27 is AA."""
    return "" if position == 0 else letters_of((position - 1) // 26) + chr(ord("A") + (position - 1) % 26)


def position_of(letters: str) -> int:
    return reduce(lambda position, letter: position * 26 + ord(letter) - ord("A") + 1, letters, 0)
