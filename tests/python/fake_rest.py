"""APIs of nobody's, one a way of paging that dlt has a paginator for: what `rest` has to read by its settings alone."""

import json
from typing import ClassVar
from urllib.parse import urlencode

from fake_api import Answer, FakeApi, Vendor


class Generic(Vendor):
    """Keeps a record's numbers in an object of their own, and its time of change under another name."""

    name, path, token_setting, envelope, holder = "rest", "/v1/customers", "AUTH__TOKEN", "data", "numbers"
    largest_page = 10**9  # whatever is asked for, at most the cap is served
    paginator: ClassVar[dict] = {}
    listing: ClassVar[dict] = {}
    asked = 3  # records a page
    selector = "data"

    def __init__(self, system: str = "crm", total: str | None = None):
        """`total` is how it is declared: body, header, range (Content-Range), or not at all."""
        self.system, self.total, self.declares_total = system, total, total is not None
        self.agreements = "/v1/deals" if system == "crm" else "/v1/subscriptions"

    @property
    def label(self) -> str:
        return f"{type(self).__name__}, {'no' if self.total is None else self.total} total"

    def tables(self, exports: dict[str, list[dict]]) -> dict[str, list[dict]]:
        return {f"/v1/{table}": [as_record(number, row) for number, row in enumerate(rows)] for table, rows in exports.items()}

    def environment(self, fake: FakeApi, token: str) -> dict[str, str]:
        prefix = f"SOURCES__{self.system.upper()}__"
        given = {f"{prefix}AUTH__TYPE": "bearer"}
        for table in (path.removeprefix("/v1/") for path in (self.path, self.agreements)):
            numbers = {"customer_number": "numbers.customer_number"}
            numbers |= {} if table == "customers" else {"contract_number": "numbers.contract_number"}
            stated = {"path": f"v1/{table}", "data_selector": self.selector, "paginator": self.paginator, "id": "id", **self.listing}
            stated |= {"body": {"total": "meta.total"}, "header": {"total_header": "X-Total-Count"}}.get(self.total, {})
            stated |= {"total_header": "Content-Range"} if self.total == "range" else {}
            stated |= {f"columns__{column}": field for column, field in {**numbers, "updated_at": "changed"}.items()}
            for name, value in stated.items():
                given[f"{prefix}TABLES__{table}__{name}".upper()] = value if isinstance(value, str) else json.dumps(value)
        return super().environment(fake, token) | given

    def page(self, records: list[dict], start: int, size: int) -> dict:
        return self.body(records[start : start + size], records, start, size)

    def body(self, page: list[dict], records: list[dict], start: int, size: int) -> dict:
        return {"data": page, "meta": {"total": len(records)} if self.total == "body" else {}}

    def listed(self, fake: FakeApi, path: str, query: dict[str, str]) -> tuple[Answer, int]:
        records, size = fake.tables[path], self.size(fake, query)
        start = self.start(query, size)
        answer = Answer(content=self.page(records, start, size))
        end = min(start + size, len(records))
        answer.headers |= {"header": {"X-Total-Count": str(len(records))}, "range": {"Content-Range": f"{start}-{end}/{len(records)}"}}.get(
            self.total, {}
        )
        if self.total == "range" and size < len(records):
            answer.status = 206
        self.say(answer, fake, path, records, start, size)
        return answer, -(-start // size) + 1

    def size(self, fake: FakeApi, query: dict[str, str]) -> int:
        return fake.size(query)

    def start(self, query: dict[str, str], size: int) -> int:
        return int(query.get("from", "0"))

    def say(self, answer: Answer, fake: FakeApi, path: str, records: list[dict], start: int, size: int) -> None:
        """Adds to the answer what leads to the next page."""

    def total_is(self, answer: Answer, total: object) -> None:
        """Declares another one."""
        if self.total == "body":
            answer.content["meta"]["total"] = total
        elif self.total == "header":
            answer.headers["X-Total-Count"] = str(total)
        else:
            answer.headers["Content-Range"] = f"0-1/{'*' if total is None else total}"


class SinglePage(Generic):
    paginator: ClassVar = {"type": "single_page"}

    def size(self, fake: FakeApi, query: dict[str, str]) -> int:
        return fake.cap


class Limited(Generic):
    """The size of a page is asked for."""

    listing: ClassVar = {"params": {"limit": Generic.asked}, "page_size_param": "limit"}


class JsonLink(Limited):
    paginator: ClassVar = {"type": "json_link", "next_url_path": "links.following"}

    def say(self, answer: Answer, fake: FakeApi, path: str, records: list[dict], start: int, size: int) -> None:
        link = f"{fake.url}{path}?{urlencode({'from': start + size, 'limit': size})}"
        answer.content["links"] = {"following": link if start + size < len(records) else None}

    def more(self, body: dict, cursor: str) -> None:
        body["links"] = {"following": f"{self.path}?from=3&limit=3"}

    def ends(self, body: dict) -> None:
        body["links"] = {"following": None}

    def unsaid(self, body: dict) -> None:
        body["links"] = {}

    def said_by(self, body: dict, value: object) -> None:
        body["links"] = {"following": value}


class Cursor(Limited):
    paginator: ClassVar = {"type": "cursor", "cursor_path": "meta.after", "cursor_param": "from"}

    def say(self, answer: Answer, fake: FakeApi, path: str, records: list[dict], start: int, size: int) -> None:
        answer.content["meta"]["after"] = str(start + size) if start + size < len(records) else None

    def more(self, body: dict, cursor: str) -> None:
        body["meta"]["after"] = "3"

    def ends(self, body: dict) -> None:
        body["meta"]["after"] = None

    def unsaid(self, body: dict) -> None:
        del body["meta"]["after"]

    def said_by(self, body: dict, value: object) -> None:
        body["meta"]["after"] = value


class FlaggedCursor(Cursor):
    """The last page has a cursor too."""

    paginator: ClassVar = Cursor.paginator | {"has_more_path": "meta.has_more"}

    def say(self, answer: Answer, fake: FakeApi, path: str, records: list[dict], start: int, size: int) -> None:
        answer.content["meta"] |= {"after": str(start + size), "has_more": start + size < len(records)}

    def more(self, body: dict, cursor: str) -> None:
        body["meta"] |= {"after": "3", "has_more": True}

    def ends(self, body: dict) -> None:
        body["meta"]["has_more"] = False

    def unsaid(self, body: dict) -> None:
        del body["meta"]["has_more"]

    def said_by(self, body: dict, value: object) -> None:
        body["meta"]["has_more"] = value


class UnnamedEnd(Cursor):
    """The last page leaves the cursor out."""

    listing: ClassVar = Limited.listing | {"end": "absent"}

    def say(self, answer: Answer, fake: FakeApi, path: str, records: list[dict], start: int, size: int) -> None:
        if start + size < len(records):
            answer.content["meta"]["after"] = str(start + size)

    def ends(self, body: dict) -> None:
        body["meta"].pop("after", None)


class HeaderLink(Limited):
    """The body is the list; the last page's Link header names the first one only."""

    paginator: ClassVar = {"type": "header_link"}
    selector = "$"

    def body(self, page: list[dict], records: list[dict], start: int, size: int) -> list[dict]:
        return page

    def say(self, answer: Answer, fake: FakeApi, path: str, records: list[dict], start: int, size: int) -> None:
        following = f'<{path}?{urlencode({"from": start + size, "limit": size})}>; rel="next", ' if start + size < len(records) else ""
        answer.headers["Link"] = f'{following}<{path}?limit={size}>; rel="first"'


class HeaderCursor(Limited):
    paginator: ClassVar = {"type": "header_cursor", "cursor_key": "X-After", "cursor_param": "from"}
    listing: ClassVar = Limited.listing | {"end": "absent"}

    def say(self, answer: Answer, fake: FakeApi, path: str, records: list[dict], start: int, size: int) -> None:
        if start + size < len(records):
            answer.headers["X-After"] = str(start + size)


class Offset(Generic):
    """Ends with an empty page."""

    paginator: ClassVar = {"type": "offset", "limit": Generic.asked, "offset_param": "from"}


class PageNumber(Limited):
    """Ends with an empty page. `by_what_is_asked`: page 2 of 250 begins at 250 though page 1 held 150."""

    paginator: ClassVar = {"type": "page_number", "base_page": 1}
    by_what_is_asked = False

    def start(self, query: dict[str, str], size: int) -> int:
        return (int(query["page"]) - 1) * (int(query["limit"]) if self.by_what_is_asked else size)


class CountedPages(PageNumber):
    """Says how many pages there are."""

    paginator: ClassVar = PageNumber.paginator | {"total_path": "meta.page_count"}

    def say(self, answer: Answer, fake: FakeApi, path: str, records: list[dict], start: int, size: int) -> None:
        answer.content["meta"]["page_count"] = max(1, -(-len(records) // size))

    def ends(self, body: dict) -> None:
        body["meta"]["page_count"] = 1

    def unsaid(self, body: dict) -> None:
        del body["meta"]["page_count"]

    def said_by(self, body: dict, value: object) -> None:
        body["meta"]["page_count"] = value


class FlaggedPages(PageNumber):
    """Says whether there are more."""

    paginator: ClassVar = PageNumber.paginator | {"has_more_path": "meta.has_more"}

    def say(self, answer: Answer, fake: FakeApi, path: str, records: list[dict], start: int, size: int) -> None:
        answer.content["meta"]["has_more"] = start + size < len(records)

    def ends(self, body: dict) -> None:
        body["meta"]["has_more"] = False

    def unsaid(self, body: dict) -> None:
        del body["meta"]["has_more"]

    def said_by(self, body: dict, value: object) -> None:
        body["meta"]["has_more"] = value


def as_record(number: int, row: dict) -> dict:
    numbers = {name: row[name] for name in ("customer_number", "contract_number") if name in row}
    rest = {name: value for name, value in row.items() if name not in numbers and name != "updated_at"}
    return {"id": number, "numbers": numbers, "changed": row["updated_at"], "tags": ["a", {"b": 1}], **rest}
