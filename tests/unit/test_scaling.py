"""`layby deploy keda`: the consumers of an app that wake its workers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from layby import App, Role, Step
from layby.cli.entry import run
from layby.operations.scaling import sources
from layby.testing import MemoryChannel

ROOT = Path(__file__).parents[2]
EXAMPLE = "examples.support_agent:app"


def shop(**options: Any) -> App:
    app = App("shop", **options)

    @app.workflow(on="order.placed", key="id")
    async def order(event: dict[str, Any], step: Step) -> str:
        return (await step.ask("developer", str(event))).text

    return app


def names(app: App, *, channels: bool = True) -> list[tuple[str, str, str]]:
    found = sources(app, account="LAYBY", trail="TRAIL", channels=channels)
    return [(each.account, each.stream, each.consumer) for each in found]


def printed(*words: str, capsys: pytest.CaptureFixture[str]) -> Any:
    assert run(["deploy", "keda", *words]) == 0
    return yaml.safe_load(capsys.readouterr().out)


def test_every_consumer_that_a_worker_reads_wakes_it() -> None:
    app = shop()
    read = [(spec.stream, spec.name) for spec, _ in app.mailboxes()]
    assert [each[1:] for each in names(app)] == read
    assert set(read) == {
        ("EVENTS", "on-order"),
        ("TIMERS", "due"),
        ("TIMERS", "rungs"),
        ("AUDIT", "commands"),
        ("RUNS", "workflow-order"),
        ("RUNS", "human-developer"),
        ("ANSWERS", "answers-developer"),
        ("ANSWERS", "acts-developer"),
    }


def test_what_nobody_acknowledges_wakes_nobody() -> None:
    """`look-developer` counts every answer of a week: with it, no worker would ever be stopped."""
    all_of_them = {spec.name for spec in shop().topology().consumers}
    assert all_of_them - {name for _, _, name in names(shop())} == {"look-developer"}


def test_only_the_audit_trail_is_in_its_own_account() -> None:
    found = names(shop())
    assert [each for each in found if each[0] == "TRAIL"] == [("TRAIL", "AUDIT", "commands")]
    assert {account for account, *_ in found} == {"LAYBY", "TRAIL"}


def test_names_have_the_prefix_of_the_app() -> None:
    found = names(shop(prefix="shop"))
    assert ("TRAIL", "SHOP_AUDIT", "commands") in found
    assert all(stream.startswith("SHOP_") for _, stream, _ in found)


def test_each_stream_of_logs_is_watched() -> None:
    streams = {stream for _, stream, name in names(shop(log_streams=4)) if name == "workflow-order"}
    assert streams == {"RUNS", "RUNS_4", "RUNS_8", "RUNS_c"}


def test_events_are_watched_in_a_stream_of_somebody_else() -> None:
    app = App("shop", streams={"corp.placed": "CORP"})

    @app.workflow(on="corp.placed", key="id", stream="CORP")
    async def order(event: dict[str, Any]) -> None: ...

    assert "CORP" in {stream for _, stream, _ in names(app)}


def test_with_a_notifier_questions_for_channels_wake_nobody() -> None:
    app = shop(roles=[Role("developer", channels=[MemoryChannel()])])
    with_cards, without = names(app), names(app, channels=False)
    shown = {name for _, _, name in set(with_cards) - set(without)}
    assert shown == {"cards-developer-memory"}
    assert "held" in {name for _, _, name in without}
    assert set(without) < set(with_cards)


def test_the_manifest_is_the_same_each_time(capsys: pytest.CaptureFixture[str]) -> None:
    texts = set[str]()
    for _ in range(3):
        assert run(["deploy", "keda", EXAMPLE]) == 0
        texts.add(capsys.readouterr().out)
    assert len(texts) == 1


def test_the_manifest_is_as_the_options_say(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--namespace", "desk", "--deployment", "desk-worker", "--min", "1", "--max", "3")
    more = ("--lag", "7", "--poll", "2", "--cooldown", "60", "--account", "A", "--trail", "A")
    scaled = printed(EXAMPLE, *words, *more, capsys=capsys)
    assert scaled["metadata"] == {"name": "desk-worker", "namespace": "desk"}
    spec = scaled["spec"]
    assert spec.pop("scaleTargetRef") == {"name": "desk-worker"}
    triggers = spec.pop("triggers")
    assert spec == {
        "minReplicaCount": 1,
        "maxReplicaCount": 3,
        "pollingInterval": 2,
        "cooldownPeriod": 60,
        "fallback": {"failureThreshold": 3, "replicas": 1},
    }
    assert triggers[0] == {
        "type": "nats-jetstream",
        "metadata": {
            "natsServerMonitoringEndpoint": "nats.desk.svc.cluster.local:8222",
            "account": "A",
            "stream": "EVENTS",
            "consumer": "on-support-ticket",
            "lagThreshold": "7",
            "activationLagThreshold": "0",
        },
    }
    assert {each["metadata"]["account"] for each in triggers} == {"A"}


def test_the_monitoring_of_a_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--monitoring", "nats-headless.nats:8222", "--https")
    for each in printed(EXAMPLE, *words, capsys=capsys)["spec"]["triggers"]:
        assert each["metadata"]["natsServerMonitoringEndpoint"] == "nats-headless.nats:8222"
        assert each["metadata"]["useHttps"] == "true"


def test_json_holds_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(EXAMPLE, capsys=capsys)
    assert run(["deploy", "keda", EXAMPLE, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == text


def test_values_of_the_chart_name_the_same_consumers(capsys: pytest.CaptureFixture[str]) -> None:
    triggers = printed(EXAMPLE, capsys=capsys)["spec"]["triggers"]
    values = printed(EXAMPLE, "--values", "support", capsys=capsys)
    [(name, worker)] = values["workers"].items()
    assert name == "support"
    named = ("account", "stream", "consumer")
    assert worker["scaling"]["consumers"] == [
        {key: each["metadata"][key] for key in named} for each in triggers
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--namespace", "Layby"), "--namespace"),
        (("--deployment", "a\nb: c"), "--deployment"),
        (("--values", "a.b"), "--values"),
        (("--monitoring", "http://nats:8222"), "HOST:PORT"),
        (("--monitoring", "nats"), "HOST:PORT"),
        (("--min", "5", "--max", "3"), "--max 3 is less than --min 5"),
    ],
)
def test_what_kubernetes_would_not_take_is_refused(
    words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["deploy", "keda", EXAMPLE, *words]) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert not said.out


def test_an_app_that_is_not_there_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["deploy", "keda", "nowhere:app"]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_it_needs_no_server_and_no_yaml_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    monkeypatch.delenv("NATS_URL", raising=False)
    assert run(["deploy", "keda", EXAMPLE]) == 0
