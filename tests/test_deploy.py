"""The manifests in deploy/ fit the code and each other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from examples.support_agent import app as example
from layby.access import Wall, outline
from layby.cli.entry import run

DEPLOY = Path(__file__).parent.parent / "deploy"
KUBERNETES = sorted([*DEPLOY.glob("kubernetes/*.yaml"), DEPLOY / "channels" / "notify.yaml"])
MANIFESTS = sorted([*DEPLOY.glob("*.yaml"), *KUBERNETES])
DRAINS_WITHIN = 20


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_every_document_is_complete(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        if not path.name.startswith("compose."):
            assert document["apiVersion"]
            assert document["kind"]


def test_kubernetes_would_take_it() -> None:
    reason = "kubernetes-validate is not installed: pip install -e '.[dev]'"
    kubernetes = pytest.importorskip("kubernetes_validate", reason=reason)
    for path in KUBERNETES:
        for document in yaml.safe_load_all(path.read_text()):
            if document["apiVersion"] != "keda.sh/v1alpha1":
                kubernetes.validate(document, "1.33", strict=True)


def test_everything_is_applied() -> None:
    [kustomization] = documents("kustomization.yaml")
    assert set(kustomization["resources"]) == {
        str(path.relative_to(DEPLOY)) for path in DEPLOY.glob("kubernetes/*.yaml")
    }
    for generator in kustomization["configMapGenerator"]:
        assert all((DEPLOY / file).exists() for file in generator["files"])


def test_the_scaled_object_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["deploy", "keda", "examples.support_agent:app"]) == 0
    assert (DEPLOY / "kubernetes" / "scaledobject.yaml").read_text() == capsys.readouterr().out
    [scaled] = documents("kubernetes/scaledobject.yaml")
    [worker] = documents("kubernetes/worker.yaml")
    assert scaled["spec"]["scaleTargetRef"]["name"] == worker["metadata"]["name"]


def test_workers_get_the_time_to_drain() -> None:
    [worker] = documents("kubernetes/worker.yaml")
    pod = worker["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > DRAINS_WITHIN
    [compose] = documents("compose.yaml")
    assert int(compose["services"]["worker"]["stop_grace_period"].rstrip("s")) > DRAINS_WITHIN


def test_whatever_serves_metrics_is_probed_and_found_by_prometheus() -> None:
    found = set[str]()
    for path in KUBERNETES:
        for document in yaml.safe_load_all(path.read_text()):
            if document["kind"] != "Deployment":
                continue
            template = document["spec"]["template"]
            [container] = template["spec"]["containers"]
            environ = {each["name"]: each.get("value") for each in container["env"]}
            if "LAYBY_METRICS_PORT" not in environ:
                continue
            found.add(container["name"])
            [port] = container["ports"]
            assert port == {"name": "metrics", "containerPort": int(environ["LAYBY_METRICS_PORT"])}
            assert environ["LAYBY_METRICS_HOST"] == "0.0.0.0"  # noqa: S104  for the probes
            assert template["metadata"]["annotations"] == {
                "prometheus.io/scrape": "true",
                "prometheus.io/port": environ["LAYBY_METRICS_PORT"],
            }
            for probe, page in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
                assert container[probe]["httpGet"] == {"path": page, "port": "metrics"}
    assert found == {"worker", "exporter", "notify"}


def test_only_prometheus_reaches_metrics() -> None:
    [_, policy] = documents("kubernetes/networkpolicy.yaml")
    [rule] = policy["spec"]["ingress"]
    assert policy["spec"]["podSelector"]["matchLabels"] == {"app": "layby"}
    assert rule["ports"] == [{"port": "metrics"}]
    assert [list(each) for each in rule["from"]] == [["namespaceSelector"]]


def test_one_server_version_everywhere() -> None:
    texts = [path.read_text() for path in MANIFESTS]
    assert len({tag for text in texts for tag in re.findall(r"image: (nats:\S+)", text)}) == 1


def test_a_notifier_runs_next_to_the_workers() -> None:
    [kustomization] = documents("channels/kustomization.yaml")
    assert kustomization["resources"] == ["notify.yaml"]
    assert kustomization["namespace"] == documents("kustomization.yaml")[0]["namespace"]
    [notify], [worker] = documents("channels/notify.yaml"), documents("kubernetes/worker.yaml")
    assert notify["spec"]["replicas"] == 1
    one, other = (each["spec"]["template"]["spec"] for each in (notify, worker))
    assert one["terminationGracePeriodSeconds"] == other["terminationGracePeriodSeconds"]
    assert one["volumes"] == [each for each in other["volumes"] if each["name"] == "authority"]
    [box], [its] = one["containers"], other["containers"]
    assert (box["args"][0], box["args"][2:]) == ("notify", its["args"][2:])
    assert (box["image"], box["securityContext"]) == (its["image"], its["securityContext"])
    named = {each["name"]: each for each in box["env"]}
    assert named["NATS_USER"]["value"] == "notifier"
    key = named["NATS_PASSWORD"]["valueFrom"]["secretKeyRef"]["key"]
    login = Wall(apps=(outline(example),)).notifier("notifier")
    assert (key, named["NATS_INBOX_PREFIX"]["value"]) == (login.variable, login.inbox)
