"""SQL for what a cell can hold."""

from pathlib import Path

from pipelines import settings
from pipelines.public import Column

# Control characters, of which XML can't hold most and terminals obey some, and those that turn the direction of text. Line breaks stay.
UNPRINTABLE = (
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x{9f}\x{061c}\x{200e}\x{200f}\x{202a}-\x{202e}\x{2066}-\x{2069}\x{fff9}-\x{fffb}\x{fffe}\x{ffff}]"
)


def printable(text: str) -> str:
    return f"regexp_replace({text}, '{UNPRINTABLE}', '\N{REPLACEMENT CHARACTER}', 'g')"


def quoted(text: str | Path) -> str:
    return f"'{settings.quoted(text)}'"


def local(column: Column) -> str:
    """A time in UTC and without its zone, which spreadsheets don't know."""
    return f"\"{column.name}\" at time zone 'UTC'" if column.type == "TIMESTAMP WITH TIME ZONE" else f'"{column.name}"'
