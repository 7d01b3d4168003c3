"""localstripe, the stand-in for Stripe that others wrote (PyPI), as a process of the tests' own on loopback.

Run as a program this file is that server. It starts with the records of a file, made into localstripe's own objects, and what
localstripe itself does not give of Stripe's documented answers is added to them: see test_localstripe.py.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import requests
from fake_api import epoch, key_of
from servers import free_port

KEY = "sk_canary-51c0a7-of-localstripe"


@dataclass
class Peer:
    url: str
    headers: ClassVar[dict[str, str]] = {"Authorization": f"Bearer {KEY}"}

    @property
    def environment(self) -> dict[str, str]:
        return {"SOURCES__BILLING__CONNECTOR": "stripe", "SOURCES__BILLING__API_KEY": KEY, "SOURCES__BILLING__BASE_URL": self.url}

    def create(self, path: str, **fields: object) -> dict:
        answer = requests.post(f"{self.url}/v1/{path}", json=fields, headers=self.headers, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def delete(self, path: str) -> None:
        requests.delete(f"{self.url}/v1/{path}", headers=self.headers, timeout=30).raise_for_status()


@contextmanager
def localstripe(folder: Path, records: dict[str, list[dict]] | None = None, dies_at_page_two: bool = False) -> Iterator[Peer]:
    """`records` are exports of customers and subscriptions."""
    (folder / "records.json").write_text(json.dumps(records or {"customers": [], "subscriptions": []}))
    peer = Peer(f"http://127.0.0.1:{(port := free_port())}")
    with (folder / "log").open("w") as log:
        command = [sys.executable, __file__, str(folder / "records.json"), str(port), "dies at page two" if dies_at_page_two else ""]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        ends_at = time.monotonic() + 60
        while True:
            try:
                requests.get(peer.url, timeout=1)
                break
            except requests.RequestException:
                if process.poll() is not None or time.monotonic() > ends_at:
                    pytest.fail(f"localstripe did not start: {(folder / 'log').read_text()[-2000:]}")
                time.sleep(0.05)
        yield peer
    finally:
        process.kill()
        process.wait()


def serve(records: Path, port: int, dies_at_page_two: bool) -> None:
    from aiohttp import web
    from localstripe import resources
    from localstripe.server import app

    resources.Store.dump_to_disk = lambda store: None  # all of it to /tmp/localstripe.pickle, with every object
    asyncio.run(fill(resources, json.loads(records.read_text())))

    @web.middleware
    async def dying(request: web.Request, handler):
        if "starting_after" in request.query:
            os.kill(os.getpid(), signal.SIGKILL)
        return await handler(request)

    if dies_at_page_two:
        app.middlewares.append(dying)
    web.run_app(app, host="127.0.0.1", port=port)


async def fill(resources, records: dict[str, list[dict]]) -> None:
    """In a loop, where localstripe leaves its webhooks to be sent."""
    customers = {}
    for row in records["customers"]:
        customer = resources.Customer(
            name=row["name"],
            email=row["email"] or None,
            address={"country": row["country"]} if row["country"] else None,
            metadata={"customer_number": row["customer_number"]},
        )
        customer.created = epoch(row["created_at"])
        customers[key_of(row)] = customer.id
    for row in records["subscriptions"]:
        first, *others = items(resources, row)
        subscription = resources.Subscription(
            customer=customers[key_of(row)],
            items=[first],
            metadata={"contract_number": row["contract_number"]},
            backdate_start_date=epoch(row["started_at"]),
            trial_period_days=1,  # or it would be invoiced, and incomplete as nobody pays
        )
        subscription.items._list += [resources.SubscriptionItem(subscription=subscription.id, **item) for item in others]
        complete(subscription, row)


def items(resources, row: dict) -> list[dict]:
    """One each name in the plan; those behind the first cost 100 each, and all add up."""
    names = row["plan"].split(" + ")
    amounts = [int(row["amount_minor"]) - 100 * (len(names) - 1)] + [100] * (len(names) - 1)
    plans = []
    for number, (name, amount) in enumerate(zip(names, amounts, strict=True)):
        plans.append(f"price_{number}_{name}_{amount}_{row['currency']}_{row['interval']}")
        if f"plan:{plans[-1]}" not in resources.store:
            terms = {"amount": amount, "currency": row["currency"], "interval": row["interval"]}
            resources.Plan(id=plans[-1], nickname=name, product={"name": name}, **terms)
    return [{"plan": plan} for plan in plans]


def complete(subscription, row: dict) -> None:
    """What Stripe gives and localstripe does not."""
    subscription.status, subscription.currency, subscription.canceled_at = row["status"], row["currency"], epoch(row["canceled_at"])
    for item in subscription.items._list:
        recurring = {"interval": item.plan.interval, "interval_count": item.plan.interval_count}
        price = {"id": item.plan.id, "nickname": item.plan.nickname, "unit_amount_decimal": str(item.plan.amount)}
        item.price = price | {"lookup_key": None, "recurring": recurring}


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]), bool(sys.argv[3]))
