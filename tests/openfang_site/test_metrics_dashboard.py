"""The Grafana dashboard can be imported, and asks for nothing that /metrics does not tell."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.live import Live
from tests.live.asking import ask, eventually
from tests.openfang_site.metrics_parts import figures
from tests.upstream import Upstream, fails, says

FILE = Path(__file__).parents[2] / "deploy" / "grafana" / "openfang.json"
METRIC = re.compile(r"\b(?:openfang|process)_\w+")
# Of the queries: what stands in braces is labels, in brackets a range, and after `by` again labels.
NO_METRIC = re.compile(r'\{[^}]*\}|\[[^\]]*\]|by \([^)]*\)|"[^"]*"')


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(FILE.read_text())
    return loaded


def queries(dashboard: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]


def test_every_query_asks_for_what_is_told(dashboard: dict[str, Any], live: Live):
    told = figures(live).names()
    asked = {name for query in queries(dashboard) for name in METRIC.findall(NO_METRIC.sub(" ", query))}
    assert asked - told == set()
    # And the other way round: what is counted can be seen.
    unseen = {name for name in told - asked if name.startswith("openfang_")}
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in unseen} <= {
        re.sub(r"_(bucket|sum|count)$", "", name) for name in asked
    }


def test_every_label_of_a_query_is_one_of_the_metrics(dashboard: dict[str, Any], live: Live, upstream: Upstream):
    upstream.turns(fails(401), says("Hello"))
    ask(live, "understudy")
    eventually(lambda: figures(live).of("openfang_requests_total", agent="understudy"))
    # Tools, MCP servers and workers have labels where there are any.
    scraped, later = {"instance", "job"}, {"error", "outcome", "tool", "server", "worker"}
    known = scraped | later | set(re.findall(r'(\w+)="', figures(live).text))
    for query in queries(dashboard):
        named = re.findall(r"[{,]\s*(\w+)\s*[=!]~?", query)
        grouped = [label.strip() for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(",")]
        assert {*named, *grouped} <= known, query


def test_it_has_what_grafana_needs_to_import_it(dashboard: dict[str, Any]):
    assert {"uid", "title", "schemaVersion", "panels", "templating", "time"} <= dashboard.keys()
    assert "id" not in dashboard  # it is the importing Grafana's to give
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    variables = {variable["name"]: variable["type"] for variable in dashboard["templating"]["list"]}
    assert variables == {"datasource": "datasource", "agent": "query"}
    for panel in panels:
        assert panel["title"]
        assert panel["type"] in {"row", "stat", "timeseries"}
        if panel["type"] != "row":
            # The data source is chosen at the import: no name of somebody's own.
            sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
            assert {source["uid"] for source in sources} == {"${datasource}"}
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_no_panel_lies_on_another(dashboard: dict[str, Any]):
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    for place in places:
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below
