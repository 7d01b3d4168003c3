"""What is left out of dbt's work changes nothing that anybody sees."""

from contextvars import copy_context

import pytest
from dbt.adapters.events import types as adapter_events
from dbt.context.macros import MacroNamespace
from dbt_common.clients import agate_helper
from dbt_common.events import types as events
from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager_client import get_event_manager
from dbt_common.events.functions import fire_event

from pipelines import lean


@pytest.fixture
def put_back(monkeypatch):
    for owner, names in {
        BaseEvent: ("__init__", "__getattr__"),
        MacroNamespace: ("__iter__", "__getitem__"),
        agate_helper: ("empty_table",),
    }.items():
        for name in names:
            monkeypatch.setattr(owner, name, getattr(owner, name))


def test_an_event_of_the_debugging_says_what_it_was_told_once_somebody_asks(put_back):
    made = adapter_events.NewConnection(conn_type="duckdb", conn_name="master").message()
    copy_context().run(lean.drop_debugging)
    event = adapter_events.NewConnection(conn_type="duckdb", conn_name="master")
    assert "pb_msg" not in event.__dict__
    assert event.conn_name == "master"
    assert event.message() == made


def test_what_is_no_debugging_is_told_and_what_is_is_not(put_back):
    def told() -> list[str]:
        lean.drop_debugging()
        heard = []
        get_event_manager().callbacks.append(lambda event: heard.append(event.info.msg))
        fire_event(events.Note(msg="loud"))
        fire_event(adapter_events.NewConnection(conn_type="duckdb", conn_name="quiet"))
        fire_event(adapter_events.NewConnection(conn_type="duckdb", conn_name="asked"), level=EventLevel.INFO)
        return heard

    loud, asked = copy_context().run(told)
    assert loud == "loud"
    assert "asked" in asked


def test_each_macro_is_the_one_that_dbt_finds(put_back):
    def namespace() -> MacroNamespace:
        of_all, of_root = {"both": 1, "root": 2, "dbt": 3}, {"both": 4, "node": 5}
        return MacroNamespace(of_all, of_root, {"both": 6, "internal": 7, "root": 8}, {"elsewhere": {"both": 9}})

    by_dbt = dict(namespace())
    lean.look_macros_up_once()
    assert dict(namespace()) == by_dbt
    assert namespace()["both"] == 4
    with pytest.raises(KeyError):
        namespace()["nothing"]


def test_the_empty_table_is_empty_and_one(put_back):
    lean.share_the_empty_table()
    assert agate_helper.empty_table() is agate_helper.empty_table()
    assert (len(agate_helper.empty_table().rows), agate_helper.empty_table().column_names) == (0, ())
