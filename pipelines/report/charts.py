"""Vega-Lite drawn to SVG here and not in the browser, where it would need half a megabyte of script for what a picture says as well."""

import json
from pathlib import Path

from markupsafe import Markup

HERE = Path(__file__).parent / "charts"
CONFIG = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "padding": 2,
    "view": {"stroke": None},
    "range": {"category": [f"var(--series-{place})" for place in range(1, 7)]},
    "axis": {
        "labelColor": "var(--ink)", "labelFontSize": 12, "gridColor": "var(--line)", "domainColor": "var(--line-strong)",
        "tickColor": "var(--line-strong)", "labelOverlap": True, "labelFlush": False,
    },
    "legend": {"labelColor": "var(--ink)", "labelFontSize": 12, "orient": "top", "offset": 8},
}  # fmt: skip


def drawn(name: str, rows: list[dict], pairs: list[str]) -> Markup:
    """The chart's SVG. Its colours are the page's, so that it is light or dark with it; who can't see it is told by the page."""
    import vl_convert  # 90 MB that a report without a chart does without

    svg = vl_convert.vegalite_to_svg(specification(name, rows, pairs), allowed_base_urls=[])
    return Markup(svg.replace("<svg", '<svg aria-hidden="true"', 1))  # noqa: S704, vl-convert escapes


def specification(name: str, rows: list[dict], pairs: list[str]) -> dict:
    """The chart's file with what only the data can say put in."""
    text = (HERE / f"{name}.json").read_text()
    runs = len({row.get("run_seq") for row in rows})
    for mark, value in (("$pairs", pairs), ("$bar", max(2, min(16, 250 // runs)))):
        text = text.replace(f'"{mark}"', json.dumps(value))
    return json.loads(text) | {"data": {"values": [{key: spoken(value) for key, value in row.items()} for row in rows]}, "config": CONFIG}


def spoken(value: object) -> object:
    """JSON knows no times."""
    return value.isoformat() if hasattr(value, "isoformat") else value
