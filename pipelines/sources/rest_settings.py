"""What the settings of a REST API say: how its requests are signed, how its lists are paged, where its records keep what."""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import requests
from dlt.common.jsonpath import compile_path, find_values
from dlt.sources.helpers.rest_client.auth import AuthConfigBase, OAuth2ClientCredentials
from dlt.sources.helpers.rest_client.paginators import BasePaginator, OffsetPaginator
from dlt.sources.rest_api.config_setup import PAGINATOR_MAP, create_auth
from jsonpath_ng.exceptions import JSONPathError

from pipelines.failures import BadConfiguration, SourceFailed
from pipelines.sources.api import Api
from pipelines.sources.landing import text
from pipelines.sources.side import Side
from pipelines.sources.words import refuse_unknown

# Without those that begin in the middle or end early (offset, page, maximum_*), or fill a body: only GET is asked.
OPTIONS = {
    "single_page": set(),
    "json_link": {"next_url_path"},
    "header_link": {"links_next_key"},
    "header_cursor": {"cursor_key", "cursor_param"},
    "cursor": {"cursor_path", "cursor_param", "has_more_path"},
    "offset": {"limit", "offset_param", "limit_param", "total_path", "has_more_path"},
    "page_number": {"base_page", "page_param", "total_path", "has_more_path"},
}
# What dlt would guess, and nothing would tell that it guessed wrong.
TO_BE_STATED = {"json_link": "next_url_path", "cursor": "cursor_path", "offset": "limit", "page_number": "base_page"}
NUMBERED = ("offset", "page_number")
SETTINGS = {"path", "params", "data_selector", "paginator", "end", "total", "total_header", "page_size_param", "id", "columns"}
SECRETS = {
    "bearer": ("token",),
    "api_key": ("api_key",),
    "http_basic": ("username", "password"),
    "oauth2_client_credentials": ("client_id", "client_secret"),
}
ID = "id"  # no export has a column of this name
compiled = cache(compile_path)


def at(path: str, body: Any) -> list:
    """What a JSONPath finds; nothing where there is nothing."""
    return find_values(compiled(path), body)


class Behind(OffsetPaginator):
    """Goes on behind what was served: behind what was asked for, it would leave out what a server cut off the page."""

    def update_state(self, response: requests.Response, data: list | None = None) -> None:
        self.value_step = len(data) or self.limit
        super().update_state(response, data)


class Token(OAuth2ClientCredentials):
    """dlt's, except that an answer without a token is none; there it is one that reads None."""

    def obtain_token(self) -> None:
        try:
            super().obtain_token()
        except (requests.RequestException, ValueError, LookupError, TypeError) as error:
            raise SourceFailed(f"{self.system}: no token came from {self.access_token_url} ({type(error).__name__})") from error

    def parse_access_token(self, response_json: Any) -> str:
        return response_json["access_token"]


@dataclass(frozen=True)
class Listing:
    """What `[sources.<system>.tables.<table>]` says; `where` is its name. `fields` is where a record holds the columns it has."""

    where: str
    path: str
    params: dict[str, Any]
    data_selector: str
    kind: str
    options: dict[str, Any]
    ends_unnamed: bool
    total: str | None
    total_header: str | None
    page_size: int | None
    columns: list[str]
    fields: dict[str, list[str]]

    @property
    def key(self) -> str:
        return self.columns[0]

    @property
    def declared_by(self) -> str | None:
        stated = f"the header {self.total_header}" if self.total_header else self.total
        return f"{stated} of every page" if stated else None

    @property
    def ends_with_nothing(self) -> bool:
        """Whether an empty page is all that tells the end."""
        more = {"has_more_path"} if self.kind == "offset" else {"has_more_path", "total_path"}
        return self.kind in NUMBERED and not more & set(self.options)

    def paginator(self) -> BasePaginator:
        if self.kind not in NUMBERED:
            return PAGINATOR_MAP[self.kind](**self.options)
        stated = {"total_path": None, **self.options, "stop_after_empty_page": self.ends_with_nothing}
        if self.kind == "page_number":
            return PAGINATOR_MAP[self.kind](**stated)
        return Behind(**stated | {"total_path": None})  # a total that is too low would end it, and agree with what was read


def auth_of(side: Side) -> AuthConfigBase | None:
    """One of dlt's, told all it needs here: what it lacks it would look for in the environment, where NAME is anybody's."""
    kind = side.setting("auth.type")
    if kind == "none":
        return None
    if kind not in SECRETS:
        raise BadConfiguration(f"sources.{side.system}.auth.type is {kind!r}; there are none, {', '.join(SECRETS)}.")
    stated = {name: side.secret(f"auth.{name}") for name in SECRETS[kind]}
    if kind == "oauth2_client_credentials":
        url = side.setting("auth.access_token_url")
        session = Api(side, url, {}, "auth.access_token_url").session
        session.max_redirects = 0  # or the client's secret would be sent on
        more = side.setting("auth.access_token_request_data", {})
        token = Token(**stated, access_token_url=url, access_token_request_data=more, session=session)
        token.system = side.system
        return token
    if kind == "api_key":
        stated |= {"name": side.setting("auth.name", "Authorization"), "location": side.setting("auth.location", "header")}
        if stated["location"] not in ("header", "query"):
            raise BadConfiguration(f"sources.{side.system}.auth.location must be header or query, not {stated['location']!r}.")
    return create_auth({"type": kind, **stated})


def listing_of(side: Side, table: str, columns: list[str]) -> Listing:
    where = f"sources.{side.system}.tables.{table}"
    refuse_unknown(where, SETTINGS)
    if unknown := sorted(set(side.setting(f"tables.{table}", {})) - SETTINGS):
        raise BadConfiguration(f"{where} says {unknown[0]!r}; it may say {', '.join(sorted(SETTINGS))}.")

    def setting(name: str, default: Any = None) -> Any:
        return side.setting(f"tables.{table}.{name}", default)

    kind, options = paginator_of(where, setting("paginator", ""))
    params = {name: text(value) for name, value in setting("params", {}).items()}
    page_size_param, end = setting("page_size_param", ""), setting("end", "null")
    if end not in ("null", "absent"):
        raise BadConfiguration(f"{where}.end must be null or absent, not {end!r}.")
    if page_size_param and not params.get(page_size_param, "").isdecimal():
        raise BadConfiguration(f"{where}.page_size_param is {page_size_param!r}, and its params give that no number.")
    names = side.names(f"tables.{table}.columns", dict(zip(columns, columns, strict=True))) | {ID: setting("id", "")}
    if not names[columns[0]]:
        raise BadConfiguration(f"{where}.columns.{columns[0]} is the key and must name a field.")
    listing = Listing(
        where=where,
        path=setting("path"),
        params=params,
        data_selector=setting("data_selector"),
        kind=kind,
        options=options,
        ends_unnamed=end == "absent",
        total=setting("total", "") or (options.get("total_path") if kind == "offset" else None),
        total_header=setting("total_header", ""),
        page_size=int(params[page_size_param]) if page_size_param else options.get("limit"),
        columns=columns,
        fields={column: name.split(".") for column, name in names.items() if name},
    )
    try:
        listing.paginator()
        for path in [listing.data_selector, listing.total, *(options[name] for name in options if name.endswith("_path"))]:
            compiled(path or "$")
    except (TypeError, ValueError, JSONPathError) as error:
        raise BadConfiguration(f"{where} can't be read: {' '.join(str(error).split())}.") from error
    return listing


def paginator_of(where: str, stated: str) -> tuple[str, dict[str, Any]]:
    """Its type and the options of it that leave nothing out. Stated as a type, or as a table, which comes as JSON."""
    try:
        options = json.loads(stated) if stated.startswith("{") else {"type": stated}
    except ValueError as error:
        raise BadConfiguration(f"{where}.paginator can't be read: {error}.") from error
    kind = options.pop("type", "")
    if kind in ("", "auto"):
        raise BadConfiguration(
            f"{where}.paginator must say how the API pages; there are {', '.join(OPTIONS)}. "
            "Left to detect it, dlt looks at the first answer only: 100 of 250 records came and it called that a success."
        )
    if kind not in OPTIONS:
        raise BadConfiguration(f"{where}.paginator is {kind!r}; there are {', '.join(OPTIONS)}.")
    if unknown := sorted(set(options) - OPTIONS[kind]):
        place = f" It belongs into [{where}] itself." if unknown[0] in SETTINGS else ""
        raise BadConfiguration(
            f"{where}.paginator has {unknown[0]!r}, which {kind} does not take: {', '.join(sorted(OPTIONS[kind]))}.{place}"
        )
    if (needed := TO_BE_STATED.get(kind)) and needed not in options:
        raise BadConfiguration(f"{where}.paginator must say its {needed}.")
    return kind, options
