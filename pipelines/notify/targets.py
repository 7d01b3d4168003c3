"""Whom `[notify] urls` names. A URL of Apprise holds tokens and passwords, so what is told of a target is its name alone."""

import json
import logging
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dlt

from pipelines.failures import BadConfiguration
from pipelines.sources.words import refuse_unknown

if TYPE_CHECKING:
    from apprise import Apprise

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
NEVER = "never"
SECONDS_TO_ANSWER = 15.0  # Apprise's four are short for a webhook that wakes up first


@dataclass(frozen=True)
class Target:
    """`name` is Apprise's word for the service and which of its kind it is: a token can be renewed, and it is the same target."""

    name: str
    service: "Apprise"


def targets() -> list[Target]:
    """In their order; none where nobody is to be told. Raises BadConfiguration, which quotes no URL."""
    refuse_unknown("notify", {"urls", "weekly_summary"})
    urls = stated_urls()
    if not urls:
        return []
    # What Apprise logs may hold a URL whole: nobody hears it but deliver.py, which needs to know why.
    logging.getLogger("apprise").propagate = False
    logging.getLogger("apprise").setLevel(logging.DEBUG)
    from apprise import Apprise, AppriseAsset

    asset = AppriseAsset(app_id="Tallystick", app_desc="Tallystick", async_mode=False, service_timeout=0)  # deliver.py has its own
    found, kinds = [], Counter()
    for number, url in enumerate(urls, 1):
        service = Apprise(asset=asset)
        if not service.add(url) or len(service) != 1:
            raise BadConfiguration(
                f"Number {number} of notify.urls is no URL that Apprise knows; its documentation has each service's form."
            )
        plugin = service[0]
        if "rto=" not in url.lower():
            plugin.socket_read_timeout = SECONDS_TO_ANSWER
        kind = plugin.url(privacy=True).split("://")[0]
        kinds[kind] += 1
        found.append(Target(f"{kind}-{kinds[kind]}", service))
    return found


def stated_urls() -> list[str]:
    stated = dlt.secrets.get("notify.urls")
    if stated is None and dlt.config.get("notify.urls") is not None:
        raise BadConfiguration("notify.urls stands in .dlt/config.toml; a URL holds its token, so it belongs in .dlt/secrets.toml.")
    if isinstance(stated, str) and stated.lstrip().startswith("["):
        try:
            stated = json.loads(stated)
        except json.JSONDecodeError:
            raise BadConfiguration("notify.urls begins as a list and is none.") from None
    if isinstance(stated, str):
        from apprise.utils.parse import parse_urls

        stated = parse_urls(stated)
    if not all(isinstance(url, str) for url in stated or []):
        raise BadConfiguration("notify.urls must be a URL or a list of them.")
    return list(stated or [])


def first_day_of_week() -> int | None:
    """On which day the summary goes out, from 0 for Monday; None: on none. Raises BadConfiguration."""
    stated = (dlt.config.get("notify.weekly_summary", str) or DAYS[0]).strip().lower()
    if stated == NEVER:
        return None
    if stated not in DAYS:
        raise BadConfiguration(f"notify.weekly_summary must be a day such as monday, or {NEVER}, not {stated!r}.")
    return DAYS.index(stated)
