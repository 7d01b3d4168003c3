"""The rest connector: every way of paging that it takes, faked on loopback, and what a fault on the first, a middle and the last page gets.

Whatever an answer lacks, says twice or says wrongly ends the pull with 3 or fails a trust check with 4.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import fake_rest
import pytest
from conftest import ROOT, World, copy_project, new_world
from fake_api import Answer, FakeApi, Fault
from fake_rest import Generic
from hypothesis import given, settings
from hypothesis import strategies as st
from test_sources import (
    ATTEMPTS,
    CAP,
    MAY_PASS,
    PAGES,
    RECORDS,
    TOKEN,
    engine,  # noqa: F401
    exported,
    instead,
    judged,
    pull,
    quick,  # noqa: F401
    refuse,
    refused,
    sent,
    served,
    text,
)

from pipelines.failures import BadConfiguration, SourceFailed
from pipelines.pull import connector
from pipelines.sources.side import Side

NAMED = [fake_rest.JsonLink, fake_rest.Cursor, fake_rest.FlaggedCursor, fake_rest.UnnamedEnd, fake_rest.HeaderLink, fake_rest.HeaderCursor]
NUMBERED = [fake_rest.Offset, fake_rest.PageNumber, fake_rest.CountedPages, fake_rest.FlaggedPages]
TO_NOTHING = [fake_rest.Offset, fake_rest.PageNumber]  # an empty page is their only end
WITH_MARK = [fake_rest.JsonLink, fake_rest.Cursor, fake_rest.FlaggedCursor, fake_rest.CountedPages, fake_rest.FlaggedPages]
LINKS = [fake_rest.JsonLink, fake_rest.HeaderLink]


def called(kinds: list[type[Generic]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", kinds, ids=lambda kind: kind.__name__)


KINDS = called(NAMED + NUMBERED)
TYPES = called([fake_rest.JsonLink, fake_rest.Cursor, fake_rest.HeaderLink, fake_rest.HeaderCursor, fake_rest.Offset, fake_rest.PageNumber])


@pytest.fixture(scope="module")
def whole() -> list[dict]:
    """What lands when nothing goes wrong."""
    with served(fake_rest.SinglePage(), cap=RECORDS) as fake:
        landed = pull(fake.vendor, fake, "customers")
    assert (landed.evidence.pages, landed.evidence.fetched, landed.evidence.end_seen) == (1, RECORDS, True)
    return landed.customers


def records_in(answer: Answer) -> list[dict]:
    return answer.content if isinstance(answer.content, list) else answer.content["data"]


def of_copies(change: Callable[[list[dict]], object]) -> Fault:
    """Changes the list of records in the answer, and not the world's."""

    def fault(answer: Answer) -> None:
        answer.content = json.loads(json.dumps(answer.content))
        change(records_in(answer))

    return fault


@KINDS
@pytest.mark.parametrize("total", [None, "header"])
def test_every_way_of_paging_is_read_to_its_end(engine, whole, kind, total):  # noqa: F811
    api = kind("crm", total)
    with served(api) as fake:
        landed = pull(api, fake, "customers")
        failed, told = judged(engine, api, fake)
    evidence = landed.evidence
    assert landed.customers == whole and [row["customer_number"] for row in whole] == [f"C-{n:04}" for n in range(RECORDS)]
    assert (evidence.pages, evidence.page_size_asked, evidence.page_size_served) == (4 if kind in TO_NOTHING else 3, CAP, CAP)
    assert evidence.end_evidence and evidence.last_cursor and evidence.unmapped_columns == "tags"
    assert (failed, told) == (
        set(),
        [f"crm declared {RECORDS} records and {RECORDS} were fetched" if total else "crm gave no declared total"],
    )


PASSING = ["503", "reset", "cut JSON"]  # the others, test_sources.py has: the client is the same


@TYPES
@PAGES
@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_costs_no_record(whole, kind, page, fault):
    with served(kind()) as fake:
        fake.spoil(kind.path, page, MAY_PASS[fault], times=1)
        landed = pull(fake.vendor, fake, "customers")
    assert landed.customers == whole
    assert landed.evidence.retries == 1


@TYPES
@PAGES
@pytest.mark.parametrize("fault", PASSING)
def test_what_lasts_ends_the_pull(kind, page, fault):
    with served(kind()) as fake:
        fake.spoil(kind.path, page, MAY_PASS[fault])
        refused(fake.vendor, fake, f"v1/customers, page {page}, attempt {ATTEMPTS}: ")


def without_list(value: object) -> Fault:
    def fault(answer: Answer) -> None:
        answer.content = value if isinstance(answer.content, list) else answer.content | {"data": value}

    return fault


def without_envelope(answer: Answer) -> None:
    answer.content = {} if isinstance(answer.content, list) else {"meta": answer.content["meta"]}


NO_LIST = "there is no list of records under"
LASTING = {
    "no envelope": (without_envelope, NO_LIST),
    "envelope an object": (without_list({"id": 1}), NO_LIST),
    "envelope null": (without_list(None), NO_LIST),
    "records are no objects": (without_list(["1", "2"]), NO_LIST),
    "an error with 200": (lambda answer: setattr(answer, "content", {"error": "no"}), NO_LIST),
    "HTML": (text("text/html", b"<html>Down for maintenance</html>"), "the answer is text/html, not JSON"),
    "NaN": (instead(b'{"data": [{"id": NaN}]}'), "NaN is no JSON"),
    "cut behind a record": (instead(b'{"data": [{"id": "1"}'), "no whole JSON"),
    "401": (refuse(401), "status 401; check that the token is valid"),
    "404": (refuse(404), "status 404"),
}


@TYPES
@PAGES
@pytest.mark.parametrize("fault", LASTING)
def test_an_answer_that_is_no_page_is_never_an_empty_one(kind, page, fault):
    spoil, says = LASTING[fault]
    with served(kind()) as fake:
        fake.spoil(kind.path, page, spoil)
        refused(fake.vendor, fake, f"v1/customers, page {page}, ", says)


UNTOLD = "does not say whether more follow"


@called(WITH_MARK)
@PAGES
def test_an_end_that_is_not_told_is_none(kind, page):
    with served(kind()) as fake:
        fake.spoil(kind.path, page, lambda answer: fake.vendor.unsaid(answer.content))
        refused(fake.vendor, fake, f"page {page}, ", UNTOLD)


@called(WITH_MARK)
@PAGES
@pytest.mark.parametrize("value", [[], 0.5], ids=str)
def test_a_mark_that_is_none_is_no_end(kind, page, value):
    with served(kind()) as fake:
        fake.spoil(kind.path, page, lambda answer: fake.vendor.said_by(answer.content, value))
        with pytest.raises(SourceFailed):
            pull(fake.vendor, fake, "customers")


@called([fake_rest.JsonLink, fake_rest.Cursor])
@PAGES
def test_false_is_no_end_of_a_list_whose_last_page_says_null(kind, page):
    """To dlt it is a link, or the end."""
    with served(kind()) as fake:
        fake.spoil(kind.path, page, lambda answer: fake.vendor.said_by(answer.content, False))
        refused(fake.vendor, fake, f"page {page}, ", UNTOLD)


@PAGES
def test_a_lost_link_header_is_no_end(page):
    """GitLab has served such pages: gitlab-org/gitlab issue 1320."""
    with served(fake_rest.HeaderLink()) as fake:
        fake.spoil(fake_rest.HeaderLink.path, page, lambda answer: answer.headers.pop("Link"))
        refused(fake.vendor, fake, f"page {page}, ", UNTOLD, 'set sources.crm.tables.customers.end = "absent"')


@PAGES
def test_an_error_that_is_told_as_an_empty_list_is_given_no_hint_to_call_it_an_end(page):
    with served(fake_rest.JsonLink()) as fake:
        fake.spoil(fake_rest.JsonLink.path, page, lambda answer: setattr(answer, "content", {"data": [], "error": "no"}))
        with pytest.raises(SourceFailed, match=UNTOLD) as failure:
            pull(fake.vendor, fake, "customers")
    assert "there is no links.following" in str(failure.value) and "absent" not in str(failure.value)


def test_where_the_cursor_goes_by_another_name_the_first_page_is_not_the_list(monkeypatch):
    """Under end = "absent" a cursor that no page has would be the end of any list."""
    with served(fake_rest.UnnamedEnd()) as fake:
        misnamed = {"type": "cursor", "cursor_path": "meta.next", "cursor_param": "from"}
        monkeypatch.setattr(fake_rest.UnnamedEnd, "paginator", misnamed)
        refused(fake.vendor, fake, "page 1, ", UNTOLD, "no page had a meta.next", "name its total")


def test_where_the_link_goes_by_another_name_dlts_own_detection_finds_it(engine, monkeypatch):  # noqa: F811
    api = fake_rest.JsonLink("crm", "body")
    monkeypatch.setattr(fake_rest.JsonLink, "paginator", {"type": "json_link", "next_url_path": "meta.url"})
    monkeypatch.setattr(fake_rest.JsonLink, "listing", fake_rest.Limited.listing | {"end": "absent"})
    with served(api) as fake:
        fake.spoil(api.path, 1, lambda answer: answer.content.update(links={"next": f"{fake.url}/v1/customers?from=3"}))
        refused(api, fake, UNTOLD, "it names a next page, and json_link does not follow it")
    with served(api) as fake:
        assert judged(engine, api, fake)[0] == {"declared_total_matches"}


def test_a_flag_that_says_more_and_names_none_is_no_end():
    api = fake_rest.FlaggedCursor()
    with served(api) as fake:
        fake.spoil(api.path, 2, lambda answer: answer.content["meta"].update(after=None))
        refused(api, fake, "page 2, ", UNTOLD, "it says both")


@KINDS
@PAGES
def test_a_page_that_comes_again_ends_the_pull(kind, page):
    with served(kind(), records=9) as fake:
        others = fake.tables[kind.path][3:6] if page == 1 else fake.tables[kind.path][3 * page - 6 : 3 * page - 3]
        fake.spoil(kind.path, page, of_copies(lambda records: records.__setitem__(slice(None), others)))
        refused(fake.vendor, fake, "a page came again that had come before")


@called([fake_rest.JsonLink, fake_rest.Cursor, fake_rest.FlaggedCursor])
@pytest.mark.parametrize("page", [2, 3])
def test_a_cursor_that_comes_back_ends_the_pull(kind, page):
    with served(kind()) as fake:

        def back(answer: Answer) -> None:
            fake.vendor.more(answer.content, "")
            records_in(answer).append({"id": len(fake.requests), "numbers": {}})  # or the page would be seen to come again

        fake.spoil(kind.path, page, back)
        refused(fake.vendor, fake, "the list never ends")


@KINDS
def test_a_list_that_never_ends_is_left(kind, monkeypatch):
    monkeypatch.setattr("pipelines.sources.api.Api.most_pages", 7)
    with served(kind(), records=60) as fake:
        refused(fake.vendor, fake, "v1/customers, page 8, ", "the list never ends")


@TYPES
@PAGES
def test_a_redirect_is_not_followed(kind, page):
    with served(kind()) as fake, served(kind()) as other:
        fake.spoil(kind.path, page, refuse(307, Location=f"{other.url}{kind.path}"))
        refused(fake.vendor, fake, f"page {page}, attempt 1: status 307")
        assert other.requests == []


@called(LINKS)
@pytest.mark.parametrize("page", [1, 2])
@pytest.mark.parametrize("link", ["{url}/v1/customers?from=3", "//{host}/v1/customers?from=3", "http://127.0.0.1:1@{host}/v1/customers"])
def test_a_next_link_to_another_host_ends_the_pull_and_gets_no_token(kind, page, link):
    with served(kind()) as fake, served(kind()) as other:
        there = link.format(url=other.url, host=other.url.removeprefix("http://"))

        def elsewhere(answer: Answer) -> None:
            if kind is fake_rest.HeaderLink:
                answer.headers["Link"] = f'<{there}>; rel="next"'
            else:
                answer.content["links"]["following"] = there

        fake.spoil(kind.path, page, elsewhere)
        refused(fake.vendor, fake, "the next page is on another host", "the token was not sent there")
        assert other.requests == []


def gone(record: dict) -> None:
    record["numbers"] = {"number": "C-1"}


@KINDS
@PAGES
def test_a_page_whose_records_have_no_key_is_named(kind, page):
    with served(kind()) as fake:
        fake.spoil(kind.path, page, of_copies(lambda records: [gone(record) for record in records]))
        refused(
            fake.vendor,
            fake,
            f"page {page} of customers has nothing under 'numbers.customer_number'",
            "sources.crm.tables.customers.columns.customer_number",
        )


@TYPES
@PAGES
def test_a_scalar_that_becomes_an_object_is_named(kind, page):
    with served(kind()) as fake:
        fake.spoil(kind.path, page, of_copies(lambda records: records[-1].update(email={"first": "a@example.org"})))
        refused(fake.vendor, fake, "a record of customers has no single value under 'email'", "tables.customers.columns.email")


@pytest.mark.parametrize("field", ["email", "changed", "id"])
def test_a_field_that_no_record_has_is_named(field):
    with served(fake_rest.Cursor()) as fake:
        for record in fake.tables[Generic.path]:
            del record[field]
        refused(fake.vendor, fake, f"under {field!r}", "sources.crm.tables.customers.")


def test_a_field_that_an_api_does_not_have_can_be_named_so(monkeypatch):
    monkeypatch.setattr(fake_rest.Cursor, "listing", fake_rest.Limited.listing | {"columns__owner": ""})
    with served(fake_rest.Cursor()) as fake:
        for record in fake.tables[Generic.path]:
            del record["owner"]
        assert {row["owner"] for row in pull(fake.vendor, fake, "customers").customers} == {None}


def test_a_new_field_is_recorded_and_no_failure():
    with served(fake_rest.Cursor()) as fake:
        fake.tables[Generic.path][4]["loyalty"] = "gold"
        assert pull(fake.vendor, fake, "customers").evidence.unmapped_columns == "loyalty, tags"


def test_values_land_as_they_are_written():
    with served(fake_rest.SinglePage(), cap=RECORDS) as fake:
        body = {"data": [fake.tables[Generic.path][0] | {"owner": "@"}], "meta": {}}
        written = {
            '"007"': "007",
            "1.10": "1.10",
            "1e400": "1e400",
            "true": "true",
            "98765432109876543210": "98765432109876543210",
            "null": None,
        }
        for value, lands in written.items():
            fake.spoil(Generic.path, 1, instead(json.dumps(body).replace('"@"', value).encode()))
            assert pull(fake.vendor, fake, "customers").customers[0]["owner"] == lands


# What an API tells wrongly without breaking: the trust checks' part.


def another(value: Callable[[int], object]) -> Callable[[Generic], Fault]:
    return lambda api: lambda answer: api.total_is(answer, value(RECORDS))


WRONG_TOTALS = {
    "too high": another(lambda total: total + 1),
    "too low": another(lambda total: total - 5),
    "zero": another(lambda total: 0),
}


@KINDS
@PAGES
@pytest.mark.parametrize("wrong", WRONG_TOTALS)
def test_a_total_that_is_not_what_came_is_seen(engine, kind, page, wrong):  # noqa: F811
    api = kind("crm", "range" if kind is fake_rest.HeaderLink else "body")
    with served(api) as fake:
        fake.spoil(api.path, page, WRONG_TOTALS[wrong](api))
        failed, told = judged(engine, api, fake)
    assert failed == {"declared_total_matches"}
    assert f"customers: {RECORDS} declared, " in told[0] or page == 1


@KINDS
@pytest.mark.parametrize("wrong", WRONG_TOTALS)
def test_a_total_that_is_wrong_on_every_page_is_seen(engine, kind, wrong):  # noqa: F811
    api = kind("crm", "header")
    with served(api) as fake:
        for page in (1, 2, 3, 4):
            fake.spoil(api.path, page, WRONG_TOTALS[wrong](api))
        failed, _ = judged(engine, api, fake)
    assert failed == {"declared_total_matches"}


@PAGES
def test_a_list_is_not_ended_by_a_total_that_is_too_low(engine, page, monkeypatch):  # noqa: F811
    """dlt's paginator ends there, and what was read would be what was declared."""
    monkeypatch.setattr(fake_rest.Offset, "paginator", fake_rest.Offset.paginator | {"total_path": "meta.total"})
    api = fake_rest.Offset("crm", "body")
    monkeypatch.setattr(fake_rest.Offset, "listing", {"total": ""})
    with served(api) as fake:
        for number in range(page, 5):
            fake.spoil(api.path, number, lambda answer: api.total_is(answer, CAP))
        failed, told = judged(engine, api, fake)
    assert failed == {"declared_total_matches"} and f"{RECORDS} fetched" in told[0]


@KINDS
@PAGES
def test_a_total_of_null_is_none_and_is_not_trusted(engine, kind, page):  # noqa: F811
    api = kind("crm", "body" if kind in TO_NOTHING else "range")
    with served(api) as fake:
        fake.spoil(api.path, page, lambda answer: api.total_is(answer, None))
        failed, told = judged(engine, api, fake)
    assert failed == {"declared_total_matches"} and "customers: no total declared" in told[0]


@pytest.mark.parametrize("stated", [8.5, True, "eight", {"value": 8}, -8], ids=str)
def test_a_total_that_is_no_number_is_refused(stated):
    with served(fake_rest.Cursor("crm", "body")) as fake:
        fake.spoil(Generic.path, 2, lambda answer: fake.vendor.total_is(answer, stated))
        refused(fake.vendor, fake, "page 2, ", "the total is no whole number")


@KINDS
@PAGES
def test_a_record_that_comes_twice_is_seen(engine, kind, page):  # noqa: F811
    api = kind("crm", "header")
    with served(api) as fake:
        first = fake.tables[api.path][0]
        fake.spoil(api.path, page, of_copies(lambda records: records.insert(0, first)))
        failed, _ = judged(engine, api, fake)
    assert "no_record_came_twice" in failed or (kind is fake_rest.Offset and "declared_total_matches" in failed)


@KINDS
@PAGES
def test_an_empty_page_is_seen_by_the_total(engine, kind, page):  # noqa: F811
    api = kind("crm", "header")
    with served(api) as fake:
        fake.spoil(api.path, page, of_copies(list.clear))
        failed, _ = judged(engine, api, fake)
    assert {"declared_total_matches"} <= failed <= {"declared_total_matches", "not_empty"}


@KINDS
@pytest.mark.parametrize("page", [1, 2])
def test_an_empty_page_ends_the_pull_where_no_total_would_tell(kind, page):
    with served(kind()) as fake:
        fake.spoil(kind.path, page, of_copies(list.clear))
        says = "there are records behind an empty page" if kind in TO_NOTHING else "the page is empty, and yet more are to follow"
        refused(fake.vendor, fake, says)


@KINDS
@PAGES
def test_a_page_that_is_left_out_is_seen_by_the_total(engine, kind, page):  # noqa: F811
    api = kind("crm", "header")
    with served(api) as fake:
        del fake.tables[api.path][(page - 1) * CAP : page * CAP]
        for number in range(1, 5):
            fake.spoil(api.path, number, lambda answer: api.total_is(answer, RECORDS))
        failed, told = judged(engine, api, fake)
    assert failed == {"declared_total_matches"} and "customers: 8 declared, " in told[0]


def test_a_server_that_says_250_and_serves_150_is_not_trusted(engine):  # noqa: F811
    for kind in [*NAMED, *NUMBERED, fake_rest.SinglePage]:
        api = kind("crm", "header")
        with served(api, records=150, cap=250) as fake:
            for number in range(1, 53):
                fake.spoil(api.path, number, lambda answer, api=api: api.total_is(answer, 250))
            failed, told = judged(engine, api, fake)
        assert failed == {"declared_total_matches"}, api.label
        assert "customers: 250 declared, 150 fetched" in told[0]


@pytest.mark.parametrize("total", [None, "body"])
@pytest.mark.parametrize("kind", [fake_rest.Offset, fake_rest.PageNumber, fake_rest.CountedPages, fake_rest.FlaggedPages])
def test_a_server_that_gives_fewer_a_page_than_were_asked_for_leaves_nothing_out(engine, kind, total):  # noqa: F811
    """dlt's offset paginator goes on behind what it asked for: 2 of 3, and every third record is lost."""
    api = kind("crm", total)
    with served(api, cap=2) as fake:
        if kind is fake_rest.Offset or total:
            assert judged(engine, api, fake)[0] == set()
            assert len(pull(api, fake, "customers").customers) == RECORDS
        else:
            refused(api, fake, "page 2, ", "the page before it was not the last and held 2 records of 3", "name its total")


class Skipping(fake_rest.PageNumber):
    by_what_is_asked = True


@pytest.mark.parametrize("total", [None, "body"])
def test_pages_that_are_cut_off_and_numbered_by_what_was_asked_for_are_seen(engine, total):  # noqa: F811
    api = Skipping("crm", total)
    with served(api, cap=2) as fake:
        if total:
            assert judged(engine, api, fake)[0] == {"declared_total_matches"}
        else:
            refused(api, fake, "held 2 records of 3, so some may be left out")


def test_a_single_page_that_names_a_next_one_is_not_the_list():
    with served(fake_rest.SinglePage(), cap=5) as fake:
        fake.spoil(Generic.path, 1, lambda answer: answer.headers.update(Link=f'<{fake.url}/v1/customers?page=2>; rel="next"'))
        refused(fake.vendor, fake, UNTOLD, "it names a next page, and single_page does not follow it")


SPOILING: dict[str, Callable[[Generic, FakeApi], Fault]] = {
    "nothing": lambda api, fake: lambda answer: None,
    "a record twice": lambda api, fake: of_copies(lambda records: records.extend(fake.tables[api.path][:1])),
    "an empty page": lambda api, fake: of_copies(list.clear),
    "an error": lambda api, fake: lambda answer: setattr(answer, "content", {"error": "no"}),
    "cut JSON": lambda api, fake: MAY_PASS["cut JSON"],
    "a page again": lambda api, fake: of_copies(lambda records: records.__setitem__(slice(None), fake.tables[api.path][: len(records)])),
    "a record less": lambda api, fake: of_copies(lambda records: records.__delitem__(slice(1))),
    "a total too high": lambda api, fake: lambda answer: api.total_is(answer, 10_000) if api.total else None,
}


@settings(max_examples=120, deadline=None)
@given(kind=st.sampled_from(NAMED + NUMBERED + [fake_rest.SinglePage]), total=st.sampled_from([None, "header", "range"]),
       records=st.integers(0, 60), cap=st.integers(1, 40), asked=st.integers(1, 40), fault=st.sampled_from(list(SPOILING)),
       page=st.integers(1, 5))  # fmt: skip
def test_all_of_them_land_or_the_pull_is_refused(engine, kind, total, records, cap, asked, fault, page):  # noqa: F811
    """Never a silent shortfall, whatever is asked for and however few a server gives at once."""
    api = type(kind.__name__, (kind,), resized(kind, asked))("crm", total)
    if kind is fake_rest.SinglePage:
        cap, page = max(records, 1), 1
    if total is None and fault == "a record less":
        fault = "nothing"
    with served(api, records, cap) as fake:
        ids = {str(row["id"]) for row in fake.tables[api.path]}
        size = cap if kind is fake_rest.SinglePage else min(cap, asked)
        if fault == "an empty page" and total is None and kind in [*TO_NOTHING, fake_rest.SinglePage] and page * size >= records:
            fault = "nothing"
        fake.spoil(api.path, page, SPOILING[fault](api, fake))
        try:
            failed, _ = judged(engine, api, fake)
        except SourceFailed as refusal:
            if fault == "nothing":
                assert_excused(api, records, cap, asked, str(refusal))
            return
        pulled = [row for (row,) in engine.connection.execute("select id from snapshot.crm.customers").fetchall()]
    if failed:
        assert fault != "nothing" or (records, failed) == (0, {"not_empty"})
    else:
        assert len(pulled) == len(ids) and set(pulled) == ids


def resized(kind: type[Generic], asked: int) -> dict:
    if kind is fake_rest.Offset:
        return {"paginator": kind.paginator | {"limit": asked}}
    return {} if kind is fake_rest.SinglePage else {"listing": kind.listing | {"params": {"limit": asked}}}


def assert_excused(api: Generic, records: int, cap: int, asked: int, refusal: str) -> None:
    """What is whole and refused all the same: too little shows that it is."""
    if "so some may be left out" in refusal:
        assert cap < asked and not api.declares_total
    else:
        assert "ask for fewer records a page" in refusal and records <= min(cap, asked) and not api.declares_total


# Settings.


def stated(monkeypatch: pytest.MonkeyPatch, **changes: str | None) -> None:
    """The settings of a working list, and these instead."""
    with served(fake_rest.Cursor()) as fake:
        for name, value in fake.vendor.environment(fake, TOKEN).items():
            monkeypatch.setenv(name, value)
    for name, value in changes.items():
        setting = f"SOURCES__CRM__{name}"
        monkeypatch.delenv(setting) if value is None else monkeypatch.setenv(setting, value)


PAGINATOR, GUESSED = "TABLES__CUSTOMERS__PAGINATOR", "100 of 250 records came and it called that a success"
MISTAKES = {
    "auto": ({PAGINATOR: "auto"}, GUESSED),
    "a type of auto": ({PAGINATOR: '{"type": "auto"}'}, GUESSED),
    "no type": ({PAGINATOR: '{"cursor_path": "meta.after"}'}, GUESSED),
    "no paginator": ({PAGINATOR: None}, GUESSED),
    "another type": ({PAGINATOR: "json_response"}, "tables.customers.paginator is 'json_response'; there are single_page, "),
    "an end of one's own": ({PAGINATOR: '{"type": "page_number", "base_page": 1, "maximum_page": 5}'}, "has 'maximum_page', which"),
    "a start of one's own": ({PAGINATOR: '{"type": "offset", "limit": 5, "offset": 5}'}, "has 'offset', which"),
    "an end in the paginator": (
        {PAGINATOR: '{"type": "header_cursor", "end": "absent"}'},
        "cursor_param. It belongs into [sources.crm.tables.customers] itself.",
    ),
    "an address without its scheme": ({"BASE_URL": "api.example.com"}, "sources.crm.base_url must be an address that begins with https://"),
    "a token's address without its scheme": (
        {
            "AUTH__TYPE": "oauth2_client_credentials",
            "AUTH__CLIENT_ID": "a",
            "AUTH__CLIENT_SECRET": TOKEN,
            "AUTH__ACCESS_TOKEN_URL": "a.com",
        },
        "sources.crm.auth.access_token_url must be an address that begins with https://",
    ),
    "no first page": ({PAGINATOR: "page_number"}, "must say its base_page"),
    "no limit": ({PAGINATOR: "offset"}, "must say its limit"),
    "no cursor": ({PAGINATOR: "cursor"}, "must say its cursor_path"),
    "no link": ({PAGINATOR: "json_link"}, "must say its next_url_path"),
    "a list": ({PAGINATOR: "[1]"}, "tables.customers.paginator is '[1]'"),
    "no JSON": ({PAGINATOR: '{"type": '}, "tables.customers.paginator can't be read"),
    "no path": ({PAGINATOR: '{"type": "cursor", "cursor_path": "meta..[", "cursor_param": "from"}'}, "tables.customers can't be read"),
    "no selector": ({"TABLES__CUSTOMERS__DATA_SELECTOR": None}, "tables.customers.data_selector is not set"),
    "no selector of the other": ({"TABLES__DEALS__DATA_SELECTOR": None}, "SOURCES__CRM__TABLES__DEALS__DATA_SELECTOR"),
    "no address": ({"BASE_URL": None}, "sources.crm.base_url is not set"),
    "no key": ({"TABLES__CUSTOMERS__COLUMNS__CUSTOMER_NUMBER": ""}, "is the key and must name a field"),
    "a word misspelt": ({"TABLES__CUSTOMERS": '{"totl": "meta.total"}'}, "tables.customers says 'totl'; it may say columns, "),
    "a table's name": ({"TABLES__CUSTOMERS": "people"}, "tables.customers can't be read as a dict"),
    "another end": ({"TABLES__CUSTOMERS__END": "never"}, "tables.customers.end must be null or absent"),
    "no page size": ({"TABLES__CUSTOMERS__PAGE_SIZE_PARAM": "size"}, "page_size_param is 'size', and its params give that no number"),
    "no way to sign": ({"AUTH__TYPE": None}, "sources.crm.auth.type is not set"),
    "another way to sign": ({"AUTH__TYPE": "digest"}, "auth.type is 'digest'; there are none, bearer, "),
    "no token": ({"AUTH__TOKEN": None}, "auth.token is not set; set it in .dlt/secrets.toml or as SOURCES__CRM__AUTH__TOKEN"),
    "a cookie": ({"AUTH__TYPE": "api_key", "AUTH__API_KEY": TOKEN, "AUTH__LOCATION": "cookie"}, "auth.location must be header or query"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_settings_is_told_before_anything_is_asked(monkeypatch, mistake):
    changes, says = MISTAKES[mistake]
    stated(monkeypatch, **changes)
    with pytest.raises(BadConfiguration) as refusal:
        connector(side := Side("crm", Path(), []))(side)
    assert refusal.value.exit_code == 2 and says in str(refusal.value) and TOKEN not in str(refusal.value)


class Signed(fake_rest.JsonLink):
    """Takes its key in one way only, and says it again in its links."""

    def __init__(self, settings: dict[str, str], header: tuple[str, str] | None):
        super().__init__()
        self.signing, self.header = {"AUTH__" + name: value for name, value in settings.items()}, header

    def environment(self, fake: FakeApi, token: str) -> dict[str, str]:
        plain = {name: value for name, value in super().environment(fake, token).items() if "__AUTH__" not in name}
        return plain | {f"SOURCES__CRM__{name}": value for name, value in self.signing.items()}

    def allows(self, headers: dict[str, str], token: str) -> bool:
        return self.header is None or headers.get(self.header[0]) == self.header[1]

    def listed(self, fake: FakeApi, path: str, query: dict[str, str]) -> tuple[Answer, int]:
        if self.header is None and query.get("appid") != TOKEN:
            return Answer(401, {}), 0
        answer, page = super().listed(fake, path, query)
        if answer.content["links"]["following"] and self.header is None:
            answer.content["links"]["following"] += f"&appid={TOKEN}"
        return answer, page


WAYS_TO_SIGN = {
    "bearer": ({"TYPE": "bearer", "TOKEN": "00123"}, ("authorization", "Bearer 00123")),
    "api_key": ({"TYPE": "api_key", "API_KEY": "1e5"}, ("authorization", "1e5")),
    "api_key by a name": ({"TYPE": "api_key", "NAME": "X-Key", "API_KEY": "true"}, ("x-key", "true")),
    "api_key in the query": ({"TYPE": "api_key", "NAME": "appid", "API_KEY": TOKEN, "LOCATION": "query"}, None),
    "http_basic": ({"TYPE": "http_basic", "USERNAME": "ada", "PASSWORD": "0042"}, ("authorization", "Basic YWRhOjAwNDI=")),
}


@pytest.mark.parametrize("way", WAYS_TO_SIGN)
def test_a_secret_is_sent_as_it_is_written_and_kept_nowhere(monkeypatch, whole, way):
    monkeypatch.setenv("NAME", "somebody")  # dlt would take it for the header's name
    api = Signed(*WAYS_TO_SIGN[way])
    with served(api) as fake:
        landed = pull(api, fake, "customers")
    assert landed.customers == whole
    assert TOKEN not in str(landed.pulled)


class OAuth(Signed):
    """Gives a token for the client's id and secret, and lists for the token."""

    def __init__(self):
        super().__init__({"TYPE": "oauth2_client_credentials", "CLIENT_ID": "client", "CLIENT_SECRET": TOKEN}, None)
        self.header = ("authorization", "Bearer given")

    def environment(self, fake: FakeApi, token: str) -> dict[str, str]:
        return super().environment(fake, token) | {"SOURCES__CRM__AUTH__ACCESS_TOKEN_URL": f"{fake.url}/oauth/token"}

    def allows(self, headers: dict[str, str], token: str) -> bool:
        return headers.get("content-type") == "application/x-www-form-urlencoded" or super().allows(headers, token)

    def beside(self, fake: FakeApi, method: str, path: str, query: dict[str, str]) -> Answer | None:
        return Answer(content={"access_token": "given", "expires_in": 3600}) if (method, path) == ("POST", "/oauth/token") else None


def test_a_token_is_asked_for_once(whole):
    with served(OAuth()) as fake:
        assert pull(fake.vendor, fake, "customers").customers == whole
        assert [request.method for request in fake.requests] == ["POST", "GET", "GET", "GET"]


def test_a_token_that_runs_out_is_asked_for_again(whole):
    with served(OAuth()) as fake:
        fake.spoil("/oauth/token", 1, lambda answer: answer.content.update(expires_in=0))
        assert pull(fake.vendor, fake, "customers").customers == whole
        assert [request.method for request in fake.requests][:4] == ["POST", "GET", "POST", "GET"]


NO_TOKEN = {
    "an error with 200": lambda answer: setattr(answer, "content", {"error": "no"}),
    "a list": lambda answer: setattr(answer, "content", []),
    "HTML": text("text/html", b"<html>"),
    "refused": refuse(401),
    "unavailable": refuse(503),
    "reset": sent("reset"),
}


@pytest.mark.parametrize("fault", NO_TOKEN)
def test_no_token_is_told(fault):
    with served(OAuth()) as fake:
        fake.spoil("/oauth/token", 1, NO_TOKEN[fault])
        for number in range(2, 5):
            fake.spoil("/oauth/token", number, NO_TOKEN[fault])
        refused(fake.vendor, fake, "no token came from", "/oauth/token")


@pytest.mark.parametrize("status", [302, 307, 308])
def test_the_clients_secret_is_not_sent_on(status):
    with served(OAuth()) as fake, served(OAuth()) as other:
        fake.spoil("/oauth/token", 1, refuse(status, Location=f"{other.url}/oauth/token"))
        refused(fake.vendor, fake, "no token came from", "TooManyRedirects")
        assert other.requests == []


# The whole way, by the command.

AS_OF = "2026-03-03T03:00:00Z"  # of the sample's night 1


class LargeCursor(fake_rest.Cursor):
    listing = fake_rest.Cursor.listing | {"params": {"limit": 100}}


class LargeOffset(fake_rest.Offset):
    paginator = fake_rest.Offset.paginator | {"limit": 250}


@dataclass
class Account:
    """The sample on two generic APIs, and a world whose runs read them."""

    world: World
    crm: FakeApi
    billing: FakeApi

    def run(self, command: str, **changes: str):
        home = self.world.folder / "home"
        home.mkdir(exist_ok=True)
        environment = {"TALLYSTICK_AS_OF": AS_OF, "HOME": str(home), "RUNTIME__REQUEST_BACKOFF_FACTOR": "0"}
        for fake in (self.crm, self.billing):
            environment |= fake.vendor.environment(fake, TOKEN)
        return self.world.run(command, **(environment | changes))


def account_of(world: World, crm: dict, billing: dict) -> tuple[FakeApi, FakeApi]:
    return FakeApi(LargeCursor("crm", "body"), TOKEN, 100, crm), FakeApi(LargeOffset("billing"), TOKEN, 150, billing)


@pytest.fixture(scope="module")
def account(tmp_path_factory) -> Iterator[Account]:
    """After one trusted run. Billing is asked for 250 a page and gives 150."""
    world = new_world(tmp_path_factory.mktemp("rest") / "world")
    tables = [Generic(system).tables(exported(world.folder / system)) for system in ("crm", "billing")]
    crm, billing = account_of(world, *tables)
    with crm, billing:
        account = Account(world, crm, billing)
        ran = account.run("reconcile")
        assert ran.code == 0, ran.out + ran.err
        (world.folder / "out.txt").write_text(ran.out + ran.err)
        yield account


@pytest.fixture
def tomorrow(account, tmp_path) -> Iterator[Account]:
    world = account.world.copy(tmp_path / "world")
    crm, billing = account_of(world, account.crm.tables, account.billing.tables)
    with crm, billing:
        yield Account(world, crm, billing)


def test_the_same_records_give_the_same_differences_as_their_exports(first_night, account):
    found = "select * exclude (run_id, opened_in_run, listed_in_run) from marts.discrepancies order by all"
    assert account.world.query(found) == first_night.query(found)


def test_the_evidence_of_a_pull_is_kept(account):
    with duckdb.connect(account.world.state / "snapshot.duckdb", read_only=True) as snapshot:
        evidence = snapshot.execute(
            """
            select system, table_name, connector, pages, page_size_asked, page_size_served, declared_by, declared_total, fetched,
                distinct_ids, end_evidence, retries
            from pulls.tables order by all
            """
        ).fetchall()
    total = "meta.total of every page"
    assert evidence == [
        ("billing", "customers", "rest", 10, 250, 150, None, None, 1293, 1293, "nothing came behind record 1,293", 0),
        ("billing", "subscriptions", "rest", 11, 250, 150, None, None, 1413, 1413, "nothing came behind record 1,413", 0),
        ("crm", "customers", "rest", 14, 100, 100, total, 1366, 1366, 1366, "meta.after was empty", 0),
        ("crm", "deals", "rest", 15, 100, 100, total, 1446, 1446, 1446, "meta.after was empty", 0),
    ]


def test_a_first_look_reads_one_page_of_each_list_and_tells_its_total(tomorrow):
    ran = tomorrow.run("check-sources")
    assert ran.code == 0, ran.err
    asked = [(fake.vendor.system, request.path.partition("?")[0]) for fake in (tomorrow.crm, tomorrow.billing) for request in fake.requests]
    assert sorted(asked) == [("billing", "/v1/customers"), ("billing", "/v1/subscriptions"), ("crm", "/v1/customers"), ("crm", "/v1/deals")]
    assert "1,366" in ran.out and "1,446" in ran.out


def test_a_server_cut_off_after_page_one_gives_3_and_the_token_is_in_no_byte(tomorrow):
    before = tomorrow.world.fingerprint()
    tomorrow.crm.spoil("/v1/deals", 2, sent("reset"))
    tomorrow.billing.spoil("/v1/customers", 2, sent("reset"))
    ran = tomorrow.run("reconcile")
    assert (ran.code, tomorrow.world.fingerprint()) == (3, before)
    assert ran.says("page 2, attempt 5: no whole answer came")
    assert TOKEN not in ran.out + ran.err
    written = [path for path in tomorrow.world.folder.rglob("*") if path.is_file()]
    names = {path.name for path in written}
    assert {"warehouse.duckdb", "snapshot.duckdb", "dbt.log", "out.txt"} <= names and (tomorrow.world.state / "next/dlt").is_dir()
    assert [str(path) for path in written if TOKEN.encode() in path.read_bytes()] == []


@pytest.mark.sweep  # the total: above, for every way of paging; the exit code: test_sources.py
def test_a_server_that_says_more_than_it_serves_gives_4_and_opens_and_closes_nothing(tomorrow):
    found = "select * from marts.discrepancies where reconciliation = 'contracts' order by all"
    before = tomorrow.world.query(found)
    for page in range(1, 16):
        tomorrow.crm.spoil("/v1/deals", page, lambda answer: answer.content["meta"].update(total=1546))
    ran = tomorrow.run("reconcile")
    assert ran.code == 4, ran.out + ran.err
    assert ("contracts", "left", "declared_total_matches") in tomorrow.world.failed_checks()
    assert tomorrow.world.verdicts()["contracts"] == "not trustworthy"
    assert before and tomorrow.world.query(found) == before


def test_settings_in_toml_are_read_as_those_in_the_environment(account, tmp_path):
    """As docs/sources/rest.md shows them."""
    project = copy_project(ROOT, tmp_path / "project")
    (project / ".dlt/config.toml").write_text(
        f"""
        [runtime]
        dlthub_telemetry = false
        log_level = "CRITICAL"

        [sources.crm]
        connector = "rest"
        base_url = "{account.crm.url}"
        auth.type = "bearer"

        [sources.crm.tables.customers]
        path = "v1/customers"
        params = {{limit = 100}}
        page_size_param = "limit"
        data_selector = "data"
        paginator = {{type = "cursor", cursor_path = "meta.after", cursor_param = "from"}}
        total = "meta.total"
        id = "id"

        [sources.crm.tables.customers.columns]
        customer_number = "numbers.customer_number"
        updated_at = "changed"

        [sources.crm.tables.deals]
        path = "v1/deals"
        data_selector = "data"
        paginator = {{type = "cursor", cursor_path = "meta.after", cursor_param = "from"}}

        [sources.crm.tables.deals.columns]
        customer_number = "numbers.customer_number"
        contract_number = "numbers.contract_number"
        updated_at = "changed"

        [sources.billing]
        connector = "files"
        """
    )
    (project / ".dlt/secrets.toml").write_text(f'[sources.crm.auth]\ntoken = "{TOKEN}"\n')
    world = new_world(tmp_path / "world", project)
    ran = world.run("check-sources")
    assert ran.code == 0 and "1,366" in ran.out, ran.out + ran.err
