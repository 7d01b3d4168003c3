"""Exports as .xlsx: every cell as the text it means, or refused by its name.

Small sheets are written by hand, as programs write them in ways of their own; larger ones by openpyxl.
"""

import csv
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest
import test_files
from test_files import FIELDS, HEADER, Exports

from pipelines.failures import SourceFailed

exports = test_files.exports
XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
CONTENT_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml"
LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
STYLES = {"general": 0, "date": 1, "date and time": 2, "five digits": 3, "money": 4, "month": 5, "hours": 6, "Japanese": 7}
STYLES_XML = f"""{XML}<styleSheet xmlns="{MAIN}">
<numFmts><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd hh:mm:ss"/><numFmt numFmtId="165" formatCode="00000"/>
<numFmt numFmtId="166" formatCode="[$USD-409] #,##0.00;[Red]&quot;days&quot; \\d 0"/>
<numFmt numFmtId="167" formatCode="[$-407]MMMM"/><numFmt numFmtId="168" formatCode="[h]:mm"/></numFmts>
<cellXfs>{"".join(f'<xf numFmtId="{number}"/>' for number in (0, 14, 164, 165, 166, 167, 168, 31))}</cellXfs></styleSheet>"""
HEADERS = "".join(f'<c r="{letter}1" t="s"><v>{number}</v></c>' for number, letter in enumerate("ABCDEFGH"))
COLUMNS = HEADER.split(",")


def text_cell(reference: str, text: str) -> str:
    return f'<c r="{reference}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'


def cell(content: str, kind: str = "n", style: str = "general", reference: str = "B2") -> str:
    return f'<c r="{reference}" t="{kind}" s="{STYLES[style]}">{content}</c>'


def record(row: int, company: str = "") -> str:
    """A customer whose company is that cell."""
    return f'<row r="{row}">{text_cell(f"A{row}", f"C-{row}")}{company}</row>'


def sheet(*rows: str, header: str = f'<row r="1">{HEADERS}</row>', after: str = "") -> str:
    return f'{XML}<worksheet xmlns="{MAIN}"><sheetData>{header}{"".join(rows)}</sheetData>{after}</worksheet>'


def write_book(
    exports: Exports, *sheets: str, names: tuple[str, ...] = ("Sheet1",), states: dict[str, str] | None = None, **others: str
) -> Path:
    """The CRM's customers; `others` replace parts of the archive."""
    exports.customers.unlink(missing_ok=True)
    path = exports.folder / "crm/customers.xlsx"
    listed = "".join(
        f'<sheet name="{name}" sheetId="{number}" state="{(states or {}).get(name, "visible")}" r:id="rId{number}"/>'
        for number, name in enumerate(names, 1)
    )
    links = "".join(
        f'<Relationship Id="rId{number}" Type="{LINKS}/worksheet" Target="worksheets/sheet{number}.xml"/>'
        for number in range(1, len(names) + 1)
    )
    shared = "".join(f"<si><t>{name}</t></si>" for name in COLUMNS)
    parts = {
        "[Content_Types].xml": f'{XML}<Types xmlns="{CONTENT_TYPES}">'
        f'<Override PartName="/xl/workbook.xml" ContentType="{KIND}.sheet.main+xml"/>'
        f'<Override PartName="/xl/sharedStrings.xml" ContentType="{KIND}.sharedStrings+xml"/></Types>',
        "_rels/.rels": f'{XML}<Relationships xmlns="{PACKAGE}">'
        f'<Relationship Id="r" Type="{LINKS}/officeDocument" Target="/xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'{XML}<workbook xmlns="{MAIN}" xmlns:r="{LINKS}">{others.get("properties", "")}'
        f"<sheets>{listed}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'{XML}<Relationships xmlns="{PACKAGE}">{links}'
        f'<Relationship Id="s" Type="{LINKS}/sharedStrings" Target="sharedStrings.xml"/>'
        f'<Relationship Id="t" Type="{LINKS}/styles" Target="styles.xml"/></Relationships>',
        "xl/sharedStrings.xml": f'{XML}<sst xmlns="{MAIN}">{shared}{others.get("strings", "")}</sst>',
        "xl/styles.xml": STYLES_XML,
    } | {f"xl/worksheets/sheet{number}.xml": content for number, content in enumerate(sheets, 1)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def as_xlsx(path: Path) -> None:
    """The same values, all as text, written by openpyxl, and the CSV taken away."""
    book = openpyxl.Workbook(write_only=True)
    written = book.create_sheet()
    with path.open(newline="") as content:
        for row in csv.reader(content):
            written.append(row)
    book.save(path.with_suffix(".xlsx"))
    path.unlink()


@pytest.mark.parametrize(
    ("company", "landed"),
    [
        (text_cell("B2", "00123"), "00123"),
        (text_cell("B2", " é&lt;b&gt;&amp; "), " é<b>& "),
        (text_cell("B2", "1e5"), "1e5"),
        (text_cell("B2", "=cmd|calc"), "=cmd|calc"),
        (text_cell("B2", "a_x000D_b_x005F_x0041_"), "a\rb_x0041_"),
        (cell('<is><r><t>Al</t></r><r><t>der</t></r><rPh sb="0" eb="2"><t>arudaa</t></rPh></is>', "inlineStr"), "Alder"),
        (cell("<v>8</v>", "s"), "shared 00123"),
        (cell("<v>123</v>"), "123"),
        (cell("<v>0</v>"), "0"),
        (cell("<v>-1.10</v>"), "-1.1"),
        (cell("<v>999999999999999</v>"), "999999999999999"),
        (cell("<v>0.30000000000000004</v>"), "0.3"),
        (cell("<v>19.989999999999998</v>"), "19.99"),
        (cell("<v>1.0000000000000001E-5</v>"), "0.00001"),
        (cell("<v>1E+2</v>"), "100"),
        (cell("<v>123</v>", style="five digits"), "00123"),
        (cell("<v>1234.5</v>", style="money"), "1234.5"),
        (cell("<v>46084</v>", style="date"), "2026-03-03"),
        (cell("<v>46084.125</v>", style="date and time"), "2026-03-03T03:00:00"),
        (cell("<v>46084.041666666664</v>", style="date"), "2026-03-03T01:00:00"),
        (cell("<v>46084.5000057870</v>", style="date and time"), "2026-03-03T12:00:00.500"),
        (cell("<v>61</v>", style="month"), "1900-03-01"),
        (cell("<v>2026-03-03T00:00:00</v>", "d"), "2026-03-03"),
        (cell("<v>2026-03-03T12:30:00</v>", "d"), "2026-03-03T12:30:00"),
        (cell("<v>1</v>", "b"), "true"),
        (cell("<v>0</v>", "b"), "false"),
        (cell("<f>1+1</f><v>2</v>"), "2"),
        (cell('<f>"a"</f><v>a</v>', "str"), "a"),
        (cell('<f>""</f><v></v>', "str"), None),
        (cell(""), None),
        ("", None),
    ],
)
def test_a_cell_lands_as_the_text_it_means(exports, company, landed):
    write_book(exports, sheet(record(2, company)), strings="<si><r><t>shared </t></r><r><t>00123</t></r></si>")
    pulled = exports.pull()
    assert pulled.customers() == [("C-2", landed)]
    assert pulled.evidence("connector, files, fetched, landed, end_seen, unmapped_columns") == ("files", 1, 1, 1, True, "")


def test_a_workbook_that_counts_from_1904_does(exports):
    write_book(exports, sheet(record(2, cell("<v>44622</v>", style="date"))), properties='<workbookPr date1904="1"/>')
    assert exports.pull().customers() == [("C-2", "2026-03-03")]


@pytest.mark.parametrize(
    ("company", "sentence"),
    [
        (cell("<v>#N/A</v>", "e"), "cell B2 holds the error #N/A"),
        (cell("<f>A9</f><v>#REF!</v>", "e"), "cell B2 holds the error #REF!"),
        (cell("<f>1+1</f>"), "cell B2 holds a formula whose value was not saved"),
        (cell("<f>1+1</f><v></v>"), "cell B2 holds a formula whose value was not saved"),
        (cell("<v>1234567890123456</v>"), "cell B2 holds a number of more than 15 digits"),
        (cell("<v>4.1111111111111E+15</v>"), "cell B2 holds a number of more than 15 digits"),
        (cell("<v>1E+999</v>"), "cell B2 holds a number of more than 15 digits"),
        (cell("<v>0.9</v>", style="date and time"), "cell B2 holds 21:36:00 as a date, which is none"),
        (cell("<v>1.5</v>", style="hours"), "cell B2 holds 1 day, 12:00:00 as a date, which is none"),
        (cell("<v>46084</v>", style="Japanese"), "cell B2 has the number format 31, in some languages a date"),
        (cell("<v>60</v>", style="date"), "cell B2 holds 1900-02-28 00:00:00 as a date, which is none"),
        (cell("<v>2958466</v>", style="date"), "cell B2 holds the error #VALUE!"),
    ],
)
def test_a_cell_that_cannot_be_read_exactly_is_refused_by_name(exports, company, sentence):
    write_book(exports, sheet(record(2, company)))
    with pytest.raises(SourceFailed, match="customers.xlsx, sheet Sheet1, " + sentence) as refused:
        exports.pull()
    assert refused.value.exit_code == 3


def test_cells_of_columns_that_nobody_declared_do_no_harm_and_are_recorded(exports):
    header = f'<row r="1">{HEADERS}{text_cell("I1", "loyalty tier")}</row>'
    error, note = cell("<v>#N/A</v>", "e", reference="I2"), text_cell("AB2", "call back")
    write_book(exports, sheet(record(2, error + note), header=header))
    pulled = exports.pull()
    assert pulled.customers() == [("C-2", None)]
    assert pulled.evidence("unmapped_columns") == ("column AB, loyalty tier",)


def test_rows_without_a_value_are_no_records_and_hidden_ones_are(exports):
    empty = '<row r="3"/><row r="4"><c r="A4" s="1"/></row><row r="5">' + cell('<f>""</f><v></v>', "str", reference="A5") + "</row>"
    hidden = record(6).replace("<row ", '<row hidden="1" ')
    write_book(exports, sheet(record(2), empty, hidden, '<row r="7"/>'))
    pulled = exports.pull()
    assert pulled.customers("customer_number") == [("C-2",), ("C-6",)]
    assert pulled.evidence("fetched, landed") == (2, 2)


def test_a_sheet_is_read_beyond_the_dimension_it_claims(exports):
    content = sheet(record(2), record(3)).replace("<sheetData>", '<dimension ref="A1:A2"/><sheetData>')
    write_book(exports, content)
    assert exports.pull().customers("customer_number") == [("C-2",), ("C-3",)]


def test_cells_without_references_follow_one_another(exports):
    row = "<row>" + "".join(f'<c t="inlineStr"><is><t>{value}</t></is></c>' for value in FIELDS.values()) + "</row>"
    write_book(exports, sheet(row))
    assert exports.pull().customers("*") == [tuple(FIELDS.values())]


@pytest.mark.parametrize(
    ("rows", "after", "sentence"),
    [
        ([record(2), f'<row r="3">{HEADERS.replace("1", "3", 0)}</row>'], "", "row 3: the header stands there again"),
        ([record(1_048_576)], "", "is full to its last row, 1,048,576"),
        ([record(2), record(2)], "", "row 2 stands there twice"),
        ([record(2), record(3)], '<mergeCells><mergeCell ref="B2:C3"/></mergeCells>', "the cells B2:C3 of the column 'company' are merged"),
    ],
)
def test_a_sheet_that_may_have_lost_records_is_refused(exports, rows, after, sentence):
    write_book(exports, sheet(*rows, after=after))
    with pytest.raises(SourceFailed, match=f"customers.xlsx, sheet Sheet1.* {sentence}"):
        exports.pull()


def test_merged_cells_beside_the_table_do_no_harm(exports):
    write_book(exports, sheet(record(2), after='<mergeCells><mergeCell ref="K1:L5"/></mergeCells>'))
    assert exports.pull().evidence("fetched") == (1,)


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("", "row 1: there is no header|row 1 holds no header"),
        ('<row r="1"/>', "row 1 holds no header"),
        (f'<row r="1">{text_cell("A1", "Customers of March")}</row><row r="2">{HEADERS}</row>', "has no column 'customer_number'"),
        (f'<row r="1">{HEADERS}{text_cell("I1", "email ")}</row>', "row 1: the column 'email' stands twice in the header"),
    ],
    ids=["no rows", "empty", "a title", "twice"],
)
@pytest.mark.parametrize("rows", [(), (record(5),)], ids=["without records", "with records"])
def test_a_header_that_is_none_is_refused(exports, header, rows, sentence):
    write_book(exports, sheet(*rows, header=header))
    with pytest.raises(SourceFailed, match=sentence):
        exports.pull()


def test_a_header_alone_is_an_empty_table(exports):
    write_book(exports, sheet())
    assert exports.pull().evidence("fetched, landed, end_seen") == (0, 0, True)


@pytest.mark.parametrize(
    ("names", "states", "read"),
    [
        (("Export",), {}, "first"),
        (("notes", "Customers"), {}, "second"),
        (("customers", "notes"), {}, "first"),
        (("lookups", "Export"), {"lookups": "hidden"}, "second"),
        (("March", "April"), {}, "has several sheets ('March', 'April'); keep one, or name one 'customers'"),
        (("March",), {"March": "veryHidden"}, "has several sheets (none)"),
    ],
)
def test_the_only_visible_sheet_is_read_or_the_one_named_after_the_table(exports, names, states, read):
    books = [sheet(record(2, text_cell("B2", place))) for place in ("first", "second")][: len(names)]
    write_book(exports, *books, names=names, states=states)
    if read in ("first", "second"):
        assert exports.pull().customers("company") == [(read,)]
        return
    with pytest.raises(SourceFailed) as refused:
        exports.pull()
    assert read in str(refused.value)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def replace(path: Path, part: str, change: Callable[[bytes], bytes]) -> None:
    """Writes the archive anew, stored, with one part of it changed."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, change(content) if name == part else content)


def flip(path: Path) -> None:
    """A letter of a name: the XML is as good as before, and only the archive's checksum tells."""
    replace(path, "", bytes)
    content = path.read_bytes()
    assert content.count(b">C-2<") == 1
    path.write_bytes(content.replace(b">C-2<", b">C-3<"))


def take_away_the_workbook(path: Path) -> None:
    """As a document of another program, renamed."""
    replace(path, "[Content_Types].xml", lambda content: content.replace(b"sheet.main", b"other"))


def cut_sheet(path: Path) -> None:
    replace(path, "xl/worksheets/sheet1.xml", lambda content: content[:-30])


def write_no_number(path: Path) -> None:
    replace(
        path,
        "xl/worksheets/sheet1.xml",
        lambda content: content.replace(b"</row></sheetData>", b'<c r="B2"><v>many</v></c></row></sheetData>'),
    )


def refer_to_no_text(path: Path) -> None:
    replace(
        path,
        "xl/worksheets/sheet1.xml",
        lambda content: content.replace(b"</row></sheetData>", b'<c r="B2" t="s"><v>99</v></c></row></sheetData>'),
    )


@pytest.mark.parametrize(
    "spoil",
    [
        cut,
        flip,
        cut_sheet,
        write_no_number,
        refer_to_no_text,
        take_away_the_workbook,
        lambda path: path.write_text(HEADER),
        lambda path: path.write_bytes(b""),
    ],
)
def test_a_file_that_is_no_whole_spreadsheet_is_refused(exports, spoil: Callable[[Path], object]):
    spoil(write_book(exports, sheet(record(2))))
    with pytest.raises(SourceFailed, match=r"customers\.xlsx can't be read: it is no \.xlsx file"):
        exports.pull()


def test_numbered_parts_are_one_table(exports):
    for number in (1, 2):
        write_book(exports, sheet(record(number + 1))).rename(exports.folder / f"crm/customers-{number}.xlsx")
    (exports.folder / "crm/~$customers-1.xlsx").write_bytes(b"open in a spreadsheet program")
    pulled = exports.pull()
    assert pulled.customers("customer_number") == [("C-2",), ("C-3",)]
    assert pulled.evidence("files, end_seen") == (2, True)


def test_the_sample_as_spreadsheets_gives_the_same_tables(first_night, world):
    for path in sorted(world.folder.glob("*/*.csv")):
        as_xlsx(path)
    ran = world.reconcile()
    assert ran.code == 0, ran.err
    assert len(list(world.folder.glob("*/*.xlsx"))) == 4 and not list(world.folder.glob("*/*.csv"))
    # A run's id holds a fingerprint of its files.
    found = "select * exclude (run_id, opened_in_run, listed_in_run) from marts.discrepancies order by all"
    assert world.query(found) == first_night.query(found) != []
