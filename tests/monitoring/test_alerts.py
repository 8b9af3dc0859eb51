"""The alerts: Prometheus takes the file, they fire when they should, and the daemon has all that they ask for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.monitoring.promql import parse

if TYPE_CHECKING:
    from prometheus_client.samples import Sample

    from tests.monitoring.promql import Expression

FOLDER = Path(__file__).parents[2] / "monitoring"
RULES = [
    rule for group in yaml.safe_load((FOLDER / "cargohold-alerts.yml").read_text())["groups"] for rule in group["rules"]
]

SCRAPED = {"job", "instance"}
"""Labels that Prometheus adds to what it scrapes."""

AFTER_A_FAILURE = {"cargohold_garbage_last_failure_age_seconds", "cargohold_backup_last_failure_age_seconds"}
"""Not there before: tests/http/test_metrics.py makes things fail, and asks for them."""

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


def check_names(expression: Expression, samples: list[Sample]) -> None:
    """Fails where a metric, a label or a value of a label is not the daemon's."""
    grouped = set(SCRAPED)
    for selector in expression.selectors:
        if selector.metric == "up" or selector.metric in AFTER_A_FAILURE:
            assert selector.labels <= SCRAPED
            continue
        labels = [sample.labels for sample in samples if sample.name == selector.metric]
        assert labels, selector.metric
        grouped |= labels[0].keys()
        assert selector.labels <= SCRAPED | labels[0].keys(), selector
        for name, value in selector.values:
            assert name in SCRAPED or value in {each[name] for each in labels}, (selector, name, value)
    assert expression.grouping <= grouped


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_metric_label_and_value_is_the_daemons(rule: dict[str, str], samples: list[Sample]) -> None:
    expression = parse(rule["expr"])
    assert expression.selectors
    check_names(expression, samples)
    assert all(("job", "cargohold") in selector.values for selector in expression.selectors)


def test_every_alert_has_its_words_and_is_tested() -> None:
    tests = (FOLDER / "cargohold-alerts-test.yml").read_text()
    for rule in RULES:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert set(rule["annotations"]) == {"summary", "description"}
        assert f'"{rule["alert"]}"' in tests, rule["alert"]


@pytest.mark.parametrize("name", ["nonsense", "cargohold_tags{repository='x'}", 'registry_gc_runs_total{worker="x"}'])
def test_what_is_not_the_daemons_is_noticed(name: str, samples: list[Sample]) -> None:
    with pytest.raises((AssertionError, ValueError)):
        check_names(parse(name), samples)


@needs_promtool
@pytest.mark.parametrize("command", ["check rules cargohold-alerts.yml", "test rules cargohold-alerts-test.yml"])
def test_prometheus_takes_them_and_they_fire_when_they_should(command: str) -> None:
    done = subprocess.run(
        [str(shutil.which("promtool")), *command.split()], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_an_alert_that_does_not_fire_is_noticed(tmp_path: Path) -> None:
    rules = (FOLDER / "cargohold-alerts.yml").read_text()
    assert rules.count(" == 0\n") == 1
    (tmp_path / "cargohold-alerts.yml").write_text(rules.replace(" == 0\n", " == 2\n"))
    shutil.copy(FOLDER / "cargohold-alerts-test.yml", tmp_path)
    command = [str(shutil.which("promtool")), "test", "rules", "cargohold-alerts-test.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "CargoholdNotReady" in done.stdout + done.stderr
