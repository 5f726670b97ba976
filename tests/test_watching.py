"""The dashboard and the alerts in deploy/ name what is there, and a real Prometheus takes both."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from layby.bus.server import EmbeddedServer
from layby.metrics.families import FAMILIES, Family
from tests.fix_layby import APP, Desk
from tests.scraping import free_port, seen

ROOT = Path(__file__).parent.parent
RULES = ROOT / "deploy" / "prometheus" / "layby.rules.yaml"
DASHBOARD = ROOT / "deploy" / "grafana" / "layby.json"
RUNBOOKS = ROOT / "docs" / "runbooks.md"
_FOUND_ELSEWHERE = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
"""What prometheus-client shows of every process."""
_OF_PROMETHEUS = {"job", "instance", "le"}


def rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load(RULES.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    for panel in panels():
        yield from (target["expr"] for target in panel.get("targets", []))


def samples() -> dict[str, Family]:
    """The table's metrics by the names of their samples."""
    found: dict[str, Family] = {}
    for each in FAMILIES:
        endings = ("_bucket", "_sum", "_count") if each.kind == "histogram" else ("",)
        found |= {each.name + ending: each for ending in endings}
    return found


def test_every_metric_that_is_named_exists_with_its_labels() -> None:
    known = samples()
    for expression in expressions():
        named = set(re.findall(r"\b(?:layby|process)_\w+", expression))
        assert named, expression
        assert named <= known.keys() | _FOUND_ELSEWHERE, expression
        labels = {label for name in named if name in known for label in known[name].labels}
        asked = set(re.findall(r"[{,]\s*(\w+)\s*[=!]", expression))
        for group in re.findall(r"(?:by|on) \(([^)]*)\)", expression):
            asked |= {word.strip() for word in group.split(",")}
        assert asked <= labels | _OF_PROMETHEUS, expression


def test_every_metric_is_on_the_dashboard() -> None:
    shown = " ".join(target["expr"] for panel in panels() for target in panel.get("targets", []))
    missing = [each.name for each in FAMILIES if not re.search(rf"\b{each.name}", shown)]
    assert missing == []


def test_panels_do_not_overlap_and_say_what_they_show() -> None:
    taken: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids))
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert panel["title"]


def test_each_alert_has_a_section_in_the_runbooks_and_each_section_an_alert() -> None:
    text = RUNBOOKS.read_text()
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    severities = {
        section.partition("\n")[0]: re.findall(r"^\*(\w+)\.\*", section, re.MULTILINE)
        for section in sections
    }
    assert severities == {rule["alert"]: [rule["labels"]["severity"]] for rule in rules()}
    for rule in rules():
        assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{rule['alert'].lower()}"
        assert rule["annotations"]["summary"].endswith(".")


def test_promtool_takes_the_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not on PATH: it comes with Prometheus")
    ended = subprocess.run(  # noqa: S603
        [promtool, "check", "rules", str(RULES)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{len(rules())} rules found" in ended.stdout


@pytest.mark.slow
@pytest.mark.nats
@pytest.mark.timeout(240)
def test_a_real_prometheus_scrapes_a_worker_and_an_exporter_and_evaluates_the_rules(
    tmp_path: Path, own_server: EmbeddedServer
) -> None:
    prometheus = shutil.which("prometheus")
    if prometheus is None:
        pytest.skip("prometheus is not on PATH")
    (tmp_path / "desk.py").write_text(APP)
    desk = Desk(tmp_path, own_server.url)
    worker, exporter, port = free_port(), free_port(), free_port()
    targets = [f"127.0.0.1:{each}" for each in (worker, exporter)]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "layby", "static_configs": [{"targets": targets}]}],
    }
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
    exporting = desk.start("exporter", "--metrics-port", str(exporter))
    desk.start_worker("--metrics-port", str(worker))
    watching = subprocess.Popen(  # noqa: S603
        [
            prometheus,
            f"--config.file={tmp_path / 'prometheus.yaml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def asked(path: str, **query: str) -> Any:
        url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                return json.loads(response.read())["data"]
        except OSError:
            return None

    def value(expression: str) -> str | None:
        data = asked("query", query=expression)
        return data["result"][0]["value"][1] if data and data["result"] else None

    try:
        desk.open_ticket("T1")
        desk.question("T1")
        desk.sooner_or_later(lambda: value('layby_question_open{role="developer"}') == "1")
        desk.sooner_or_later(lambda: value("sum(layby_runs_started_total)") == "1")
        age = desk.sooner_or_later(
            lambda: value("time() - layby_question_oldest_timestamp_seconds")
        )
        assert 0 <= float(age) < 120
        for expression in expressions():
            plain = expression.replace("$job", ".*")
            assert asked("query", query=plain) is not None, plain
        found = desk.sooner_or_later(lambda: asked("rules"))
        healths = desk.sooner_or_later(
            lambda: (
                all(each["health"] == "ok" for each in asked("rules")["groups"][0]["rules"])
                and asked("rules")["groups"][0]["rules"]
            )
        )
        assert len(found["groups"][0]["rules"]) == len(healths) == len(rules())
        seen(exporter, lambda it: it.value("layby_streams_up") == 1)
    finally:
        watching.terminate()
        watching.wait(30)
        exporting.terminate()
        exporting.wait(30)
        exporting.close()
        desk.stop_workers()
