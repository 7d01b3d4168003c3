"""Writes by an HTTP API: what may be sent again is, what may have been written twice is not, and no faster than is allowed."""

import json
from typing import Any, ClassVar
from urllib.parse import urljoin

import requests
from dlt.sources.helpers.requests import Client
from requests.exceptions import ConnectTimeout
from requests_ratelimiter import LimiterMixin
from urllib3.exceptions import MaxRetryError, NewConnectionError

from pipelines.failures import BadConfiguration
from pipelines.show import plain
from pipelines.sources.api import Whole, refuse_no_address, session_of
from pipelines.targets.target import NoAnswer, Refused, TargetSettings, Unavailable

MOST_SAID = 200  # characters


class Paced(LimiterMixin, Whole):
    """At most so many requests a second, whatever they are for."""


class WritingApi:
    """One system's API. 429 is asked again as long as Retry-After says; what else may pass, only where twice is as good as once."""

    is_idempotent = False
    advice: ClassVar[dict[int, str]] = {
        401: "check that the key is valid and has not expired",
        403: "check that the key may write this",
    }

    def __init__(self, settings: TargetSettings, base_url: str, headers: dict[str, str], setting: str = "base_url"):
        refuse_no_address(base_url, f"targets.{settings.system}.{setting}")
        rate = settings.setting("requests_per_second", 5.0)
        if rate <= 0:
            raise BadConfiguration(f"targets.{settings.system}.requests_per_second must be more than 0.")
        pace = Paced(per_second=rate, per_host=False, limit_statuses=())
        careful = Client(raise_for_status=False, status_codes=(429,), exceptions=(), retry_condition=never_left)
        self.settings, self.base_url = settings, base_url.rstrip("/") + "/"
        self.once = session_of(careful, self.base_url, headers, pace)
        self.again = session_of(Client(raise_for_status=False), self.base_url, headers, pace)
        self.secrets = {part for value in headers.values() for part in value.split() if len(part) > 7}

    def ask(self, method: str, path: str, can_repeat: bool, **request) -> requests.Response:
        """An answer of 2xx, from this host. `can_repeat`: what target.can_repeat() says, or that it only reads.

        Raises Refused, NoAnswer or Unavailable.
        """
        session = self.again if can_repeat else self.once
        try:
            response = session.request(method, urljoin(self.base_url, path.lstrip("/")), allow_redirects=False, **request)
        except requests.RequestException as error:
            kind = Unavailable if never_left(None, error) else NoAnswer
            raise kind(f"no whole answer came from {self.settings.system} ({type(error).__name__})") from error
        status = response.status_code
        if 200 <= status < 300:
            return response
        told = "; ".join(filter(None, (f"status {status}", self.advice.get(status), self.said(response))))
        if status >= 500:
            raise NoAnswer(told)
        raise (Unavailable if status in (401, 429) else Refused)(told)

    def said(self, response: requests.Response) -> str:
        """The body's own message, in plain text; nothing where it holds what the request was signed with."""
        try:
            message = message_in(json.loads(response.content))
        except (ValueError, RecursionError):
            return ""
        return "" if any(secret in message for secret in self.secrets) else plain(" ".join(message.split()))[:MOST_SAID]


def message_in(body: Any) -> str:
    """Where APIs keep it: message, error, error.message, or that of the first of a list."""
    if isinstance(body, list):
        return message_in(body[0]) if body else ""
    if not isinstance(body, dict):
        return body if isinstance(body, str) else ""
    return next((found for name in ("message", "error", "errors") if (found := message_in(body.get(name)))), "")


def never_left(response: requests.Response | None, error: BaseException | None) -> bool:
    """Whether there was not even a connection."""
    cause = error.args[0] if isinstance(error, requests.ConnectionError) and error.args else None
    return isinstance(error, ConnectTimeout) or (isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError))
