"""The dashboard: Grafana knows each of its fields, and the daemon all that it asks for."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.monitoring.promql import parse
from tests.monitoring.test_alerts import check_names, needs_promtool

if TYPE_CHECKING:
    from prometheus_client.samples import Sample

FILE = Path(__file__).parents[2] / "monitoring/cargohold-dashboard.json"
DASHBOARD = json.loads(FILE.read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = {f"{panel['title']}: {target['refId']}": target["expr"] for panel in PANELS for target in panel["targets"]}
VARIABLES = DASHBOARD["templating"]["list"]


def filled(expression: str) -> str:
    """As Grafana sends it, with "All" chosen."""
    return expression.replace("$__rate_interval", "5m").replace("$job", ".*").replace("$instance", ".*")


def without_nothing(value: Any) -> Any:
    """A field that is null says as much as one that is not there."""
    if isinstance(value, dict):
        return {key: without_nothing(each) for key, each in value.items() if each is not None}
    return [without_nothing(each) for each in value] if isinstance(value, list) else value


def test_grafana_keeps_every_field() -> None:
    """Read into Grafana's own model and written again: what is not in the schema would be gone."""
    plugins.register_default_plugins()
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(DASHBOARD)))
    assert contains(without_nothing(read), without_nothing(DASHBOARD), "") == []


def contains(whole: Any, part: Any, path: str) -> list[str]:
    """Where the part has something else than the whole, or something more."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return [each for key, value in part.items() for each in contains(whole.get(key), value, f"{path}.{key}")]
    if isinstance(part, list) and isinstance(whole, list) and len(part) == len(whole):
        pairs = enumerate(zip(whole, part, strict=True))
        return [each for place, (one, other) in pairs for each in contains(one, other, f"{path}[{place}]")]
    return [] if whole == part else [path]


def test_what_an_import_needs() -> None:
    assert DASHBOARD["id"] is None  # another one would be replaced
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    known = {variable["name"] for variable in VARIABLES}
    assert known == {"datasource", "job", "instance"}
    source = {"type": "prometheus", "uid": "${datasource}"}
    assert all(each["datasource"] == source for panel in PANELS for each in (panel, *panel["targets"]))
    assert all(each["datasource"] == source for each in VARIABLES if each["type"] == "query")


def test_no_panel_covers_another() -> None:
    covered: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & covered, panel["title"]
        covered |= cells


@pytest.mark.parametrize("query", [*QUERIES.values(), *(each["query"]["query"] for each in VARIABLES[1:])])
def test_every_metric_label_and_value_is_the_daemons(query: str, samples: list[Sample]) -> None:
    if query.startswith("label_values(") and "{" not in query:
        query = query.replace("(cargohold_up_seconds,", "(cargohold_up_seconds{},")
    query = query.replace(", job)", ")").replace(", instance)", ")")
    check_names(parse(filled(query)), samples)


def test_every_query_chooses_the_job_and_the_instance() -> None:
    for title, query in QUERIES.items():
        selectors = parse(filled(query)).selectors
        assert selectors, title
        assert all({"job", "instance"} <= selector.labels for selector in selectors), title


@needs_promtool
def test_prometheus_finds_something_for_every_query(samples: list[Sample], tmp_path: Path) -> None:
    """What the daemon said, scraped each minute with counters that rise, as Prometheus evaluates it."""
    series = [{"series": _series(sample), "values": f"{sample.value}+{_step(sample)}x20"} for sample in samples]
    found = [
        {
            "expr": f"count({filled(query)}) > bool 0",
            "eval_time": "15m",
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
        for query in QUERIES.values()
    ]
    tests = [{"interval": "1m", "input_series": series, "promql_expr_test": found}]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": tests}))
    promtool = shutil.which("promtool")
    done = subprocess.run([str(promtool), "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _series(sample: Sample) -> str:
    labels = {**sample.labels, "job": "cargohold", "instance": "a"}
    return f"{sample.name}{{{', '.join(f'{name}={json.dumps(value)}' for name, value in labels.items())}}}"


def _step(sample: Sample) -> int:
    return int(sample.name.endswith(("_total", "_bucket", "_count", "_sum")))
