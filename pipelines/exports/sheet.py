"""One sheet of rows: headings that stay in sight and filter, text as text, numbers and times in their formats."""

import math
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from pipelines.public import Column

WIDEST = 50
TOLD_UNITS = ("hours", "days", "seconds")  # the others tell the label, or the cell itself
NUMBERS = {"currency": "#,##0.00", "share": "0.0%", "hours": "#,##0.0", "seconds": "#,##0.0", "times": "#,##0.0", "none": "General"}
COUNT = "#,##0"
TIMES = {"TIMESTAMP WITH TIME ZONE": "yyyy-mm-dd hh:mm", "DATE": "yyyy-mm-dd"}
FIRST_YEAR = 1900  # Excel knows none before it


class Styles:
    """A workbook's formats, each made once."""

    def __init__(self, book: Workbook):
        self.title = book.add_format({"bold": True, "font_size": 14})
        self.heading = book.add_format({"bold": True, "bg_color": "#E3EAF2", "bottom": 1})
        self.text = book.add_format({"quote_prefix": True})  # or a cell that is edited and left as it is would become a formula
        self.shown = {shown: book.add_format({"num_format": shown, "align": "left"}) for shown in TIMES.values()}
        self.shown |= {shown: book.add_format({"num_format": shown}) for shown in {COUNT, *NUMBERS.values()}}


class Sheet:
    def __init__(self, worksheet: Worksheet, styles: Styles):
        self.worksheet, self.styles, self.row = worksheet, styles, 0

    def line(self, text: str = "", style: Format | None = None) -> None:
        self.worksheet.write_string(self.row, 0, text, style or self.styles.text)
        self.row += 1

    def head(self, columns: list[Column], longest: Iterable[int]) -> None:
        for place, (column, length) in enumerate(zip(columns, longest, strict=True)):
            heading = f"{column.label} ({column.unit})" if column.unit in TOLD_UNITS else column.label
            self.worksheet.write_string(self.row, place, heading, self.styles.heading)
            self.worksheet.set_column(place, place, min(max(len(heading) + 4, length + 1), WIDEST))
        self.row += 1

    def put(self, columns: list[Column], rows: Iterable[tuple]) -> None:
        writers = [self.writer(column) for column in columns]
        for row in rows:
            for place, (write, value) in enumerate(zip(writers, row, strict=True)):
                if value is not None:
                    write(place, value)
            self.row += 1

    def writer(self, column: Column) -> Callable[[int, object], None]:
        """What puts a value of that column into a cell of this row."""
        if column.type == "VARCHAR":
            return self.text
        if column.type == "BOOLEAN":
            return lambda place, value: self.worksheet.write_boolean(self.row, place, value)
        if column.type in TIMES:
            return lambda place, value: self.time(place, value, self.styles.shown[TIMES[column.type]])
        return lambda place, value: self.number(place, value, self.styles.shown[NUMBERS.get(column.unit, COUNT)])

    def text(self, place: int, value: str) -> None:
        self.worksheet.write_string(self.row, place, value, self.styles.text)

    def time(self, place: int, stated: str, shown: Format) -> None:
        try:
            time = datetime.fromisoformat(stated)
        except ValueError:  # after 9999, or endless
            time = None
        if time and time.year >= FIRST_YEAR:
            self.worksheet.write_datetime(self.row, place, time, shown)
        else:
            self.text(place, stated)

    def number(self, place: int, exact: int | float | Decimal, shown: Format) -> None:
        """As text where Excel's floating point would change it."""
        near = float(exact)
        if math.isfinite(near) and (near == exact or Decimal(repr(near)) == exact):
            self.worksheet.write_number(self.row, place, near, shown)
        else:
            self.text(place, str(exact))
