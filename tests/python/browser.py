"""A page in headless Chromium, with what it asks for and what it complains of."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, sync_playwright

ALONE = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
]


@contextmanager
def opened(address: str) -> Iterator[tuple[Page, list[str], list[str]]]:
    """The page, the addresses it asked for, and its errors; both lists grow while it is open."""
    chromium = shutil.which("chromium") or pytest.fail("chromium is not installed: apt-get install -y chromium (as .ci/run does)")
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=chromium, args=ALONE) as browser:
        page, requests, errors = browser.new_page(), [], []
        page.on("request", lambda request: requests.append(request.url.partition("#")[0]))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
        page.goto(address)
        yield page, requests, errors
