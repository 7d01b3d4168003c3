"""What dbt and DuckDB do at every step for nobody, left out: half a second of a small run."""

import sys
from functools import cache


def be_lean() -> None:
    """To be called before dbt runs."""
    sys.modules.setdefault("pandas", None)  # DuckDB looks for it through the whole path with every value of a seed
    drop_debugging()
    share_the_empty_table()
    look_macros_up_once()


def drop_debugging() -> None:
    """dbt tells a few thousand events for its debugging. They are neither told nor made up, unless somebody asks one what it says."""
    from dbt_common.events.base_types import BaseEvent, EventLevel
    from dbt_common.events.event_manager import EventManager
    from dbt_common.events.event_manager_client import ctx_set_event_manager

    class WithoutDebugging(EventManager):
        def fire_event(self, e, level=None, *rest, **options) -> None:
            if (level or e.level_tag()) != EventLevel.DEBUG:
                super().fire_event(e, level, *rest, **options)

    make_up = BaseEvent.__init__

    def made_up_late(event, *args, **told) -> None:
        if event.level_tag() == EventLevel.DEBUG:
            event.__dict__["told"] = args, told
        else:
            make_up(event, *args, **told)

    def asked(event, name):
        if name != "pb_msg":
            return getattr(event.pb_msg, name)
        if "told" not in event.__dict__:
            raise AttributeError(name)
        args, told = event.__dict__.pop("told")
        make_up(event, *args, **told)
        return event.pb_msg

    BaseEvent.__init__, BaseEvent.__getattr__ = made_up_late, asked
    ctx_set_event_manager(WithoutDebugging())


def share_the_empty_table() -> None:
    """What a statement without rows answers. Each such table would be made with a reader of dates of its own."""
    from dbt_common.clients import agate_helper

    agate_helper.empty_table = cache(agate_helper.empty_table)


def look_macros_up_once() -> None:
    """Each node's context copies six hundred macros out of a namespace that would search its packages for each of them."""
    from dbt.context.macros import MacroNamespace

    def found(namespace) -> dict:
        if "found" not in namespace.__dict__:
            packages = [dict(package) for package in namespace._search_order()]
            namespace.found = {name: macro for package in reversed(packages) for name, macro in package.items()}
        return namespace.found

    MacroNamespace.__iter__ = lambda namespace: iter(found(namespace))
    MacroNamespace.__getitem__ = lambda namespace, name: found(namespace)[name]
