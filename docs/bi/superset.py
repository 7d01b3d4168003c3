"""Puts Tallystick into Superset by its REST API: a database, its datasets, three charts and a dashboard, which
first says whether the list can be trusted.

    SUPERSET_PASSWORD=… .venv/bin/python docs/bi/superset.py http://127.0.0.1:8088 admin duckdb:////srv/tallystick/state/warehouse.duckdb
    SUPERSET_PASSWORD=… .venv/bin/python docs/bi/superset.py http://127.0.0.1:8088 admin postgresql://reader:…@db/warehouse

Run it again to bring what it made up to date: everything is found by its name.
"""

import json
import os
import sys
from pathlib import Path

import requests

ANALYSES = Path(__file__).resolve().parents[2] / "analyses"
TITLE = "Tallystick"
# Superset is asked by many and may run anything: it reads this one file and nothing else of the machine.
DUCKDB = {"read_only": True, "config": {"enable_external_access": "false", "lock_configuration": "true"}}
OPEN = {"col": "status", "op": "==", "val": "open"}
DIFFERENCES = {"expressionType": "SQL", "sqlExpression": "count(*)", "label": "differences"}
STILL_OPEN = {"expressionType": "SQL", "sqlExpression": "sum(still_open)", "label": "open"}
TRUST = ["reconciliation", "verdict", "last_run_of", "list_is_of", "hours_old", "what_failed"]
COST = ["reconciliation", "currency", "direction", "records", "value_at_risk", "without_a_value"]
QUESTIONS = {name: (ANALYSES / f"{name}.sql").read_text() for name in ("can_i_trust_it", "what_does_it_cost")}
DATASETS = {"discrepancies": None, "drift_daily": None} | QUESTIONS
CHARTS = {
    "Can I trust it?": ("table", "can_i_trust_it", {"columns": TRUST, "metrics": [], "filters": []}),
    "What is open, and why": (
        "echarts_timeseries_bar",
        "discrepancies",
        {"x_axis": "cause", "columns": ["cause", "reconciliation"], "metrics": [DIFFERENCES], "filters": [OPEN]},
    ),
    "Open after each trusted run": (
        "echarts_timeseries_line",
        "drift_daily",
        {"x_axis": "as_of", "columns": ["as_of", "reconciliation"], "metrics": [STILL_OPEN], "filters": []},
    ),
    # By currency, as the file has it: a total over all of them would mean nothing.
    "What does it cost?": ("table", "what_does_it_cost", {"columns": COST, "metrics": [], "filters": []}),
}


class Superset:
    def __init__(self, address: str, user: str, password: str) -> None:
        self.api, self.session = f"{address.rstrip('/')}/api/v1", requests.Session()
        login = {"username": user, "password": password, "provider": "db", "refresh": False}
        self.session.headers["Authorization"] = f"Bearer {self.ask('post', 'security/login', login)['access_token']}"
        self.session.headers.update({"X-CSRFToken": self.ask("get", "security/csrf_token/")["result"], "Referer": address})

    def ask(self, method: str, path: str, body: dict | None = None) -> dict:
        answer = self.session.request(method, f"{self.api}/{path}", json=body, timeout=120)
        if not answer.ok:
            sys.exit(f"Superset refused {method.upper()} {path} with {answer.status_code}: {answer.text[:500]}")
        return answer.json()

    def put(self, kind: str, name: str, value: str, body: dict, fixed: dict | None = None) -> int:
        """The id of what has this name, made or changed to be as `body` says; `fixed` is said once, when it is made."""
        named = json.dumps({"filters": [{"col": name, "opr": "eq", "value": value}]})
        found = self.ask("get", f"{kind}/?q={requests.utils.quote(named)}")["ids"]
        if found:
            self.ask("put", f"{kind}/{found[0]}", body)
            return found[0]
        return self.ask("post", f"{kind}/", {name: value} | body | (fixed or {}))["id"]


def main(address: str, user: str, uri: str) -> None:
    superset = Superset(address, user, os.environ["SUPERSET_PASSWORD"])
    arguments = DUCKDB if uri.startswith("duckdb:") else {}
    extra = json.dumps({"engine_params": {"connect_args": arguments}})
    database = superset.put("database", "database_name", TITLE, {"sqlalchemy_uri": uri, "extra": extra, "expose_in_sqllab": True})
    datasets = {}
    for name, sql in DATASETS.items():
        of_file = {"sql": sql} if sql else {}
        datasets[name] = superset.put("dataset", "table_name", name, of_file, {"database": database, "schema": "marts"})
        superset.ask("put", f"dataset/{datasets[name]}/refresh")
    dashboard = superset.put("dashboard", "dashboard_title", TITLE, {"published": True})
    charts = {name: chart(superset, name, datasets, dashboard) for name in CHARTS}
    superset.ask("put", f"dashboard/{dashboard}", {"position_json": json.dumps(rows(charts)), "json_metadata": "{}"})
    print(f"{address.rstrip('/')}/superset/dashboard/{dashboard}/")


def chart(superset: Superset, name: str, datasets: dict[str, int], dashboard: int) -> int:
    kind, dataset, query = CHARTS[name]
    source = {"id": datasets[dataset], "type": "table"}
    form = {
        "viz_type": kind,
        "datasource": f"{datasets[dataset]}__table",
        "x_axis": query.get("x_axis"),
        "groupby": [column for column in query["columns"] if column != query.get("x_axis")],
        "metrics": query["metrics"],
        "adhoc_filters": [
            {"clause": "WHERE", "expressionType": "SIMPLE", "subject": one["col"], "operator": one["op"], "comparator": one["val"]}
            for one in query["filters"]
        ],
        "query_mode": "aggregate" if query["metrics"] else "raw",
        "all_columns": query["columns"],
        "row_limit": 10000,
        "time_grain_sqla": None,
        "stack": "Stack" if kind == "echarts_timeseries_bar" else None,
        "show_cell_bars": False,  # they would measure currencies against one another
        "show_legend": True,
    }
    asked = {"columns": query["columns"], "filters": query["filters"], "row_limit": 10000}
    asked |= {"metrics": query["metrics"]} if query["metrics"] else {}
    context = {"datasource": source, "queries": [asked], "form_data": form, "result_format": "json", "result_type": "full"}
    body = {"viz_type": kind, "params": json.dumps(form), "query_context": json.dumps(context), "dashboards": [dashboard]}
    return superset.put("chart", "slice_name", name, body | {"datasource_id": source["id"], "datasource_type": "table"})


def rows(charts: dict[str, int]) -> dict:
    """The dashboard's layout: a chart a row, as wide as the page."""
    layout = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"]},
        "GRID_ID": {"type": "GRID", "id": "GRID_ID", "parents": ["ROOT_ID"], "children": [f"ROW-{chart}" for chart in charts.values()]},
    }
    for name, chart in charts.items():
        row, place = f"ROW-{chart}", f"CHART-{chart}"
        above, transparent = ["ROOT_ID", "GRID_ID"], {"background": "BACKGROUND_TRANSPARENT"}
        meta = {"chartId": chart, "sliceName": name, "width": 12, "height": 50}
        layout[row] = {"type": "ROW", "id": row, "parents": above, "children": [place], "meta": transparent}
        layout[place] = {"type": "CHART", "id": place, "parents": [*above, row], "children": [], "meta": meta}
    return layout


if __name__ == "__main__":
    main(*sys.argv[1:])
