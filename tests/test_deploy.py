"""The manifests in deploy/ fit the code and each other; those of the chart are in test_helm.py."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from examples.support_agent import app as example
from layby.access import Wall, outline
from layby.cli.entry import run
from tests.helm import CHART, EXAMPLES, RENDERED, of_kind, pod_of
from tests.manifests import SERVER_FILES

DEPLOY = Path(__file__).parent.parent / "deploy"
MANIFESTS = sorted([*DEPLOY.glob("*.yaml"), RENDERED])
DRAINS_WITHIN = 20
KEDA = ("deploy", "keda", "examples.support_agent:app")


def documents(path: Path = RENDERED) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text()))


def test_every_document_is_complete() -> None:
    for document in documents():
        assert document["apiVersion"]
        assert document["kind"]
        assert "namespace" not in document["metadata"], "kubectl --namespace says it"


def test_kubernetes_would_take_it() -> None:
    reason = "kubernetes-validate is not installed: pip install -e '.[dev]'"
    kubernetes = pytest.importorskip("kubernetes_validate", reason=reason)
    for document in documents():
        if document["apiVersion"] != "keda.sh/v1alpha1":
            kubernetes.validate(document, "1.33", strict=True)


def test_the_scaled_object_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*KEDA, "--values", "worker"]) == 0
    assert (EXAMPLES / "scaling.yaml").read_text() == capsys.readouterr().out
    assert run(KEDA) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    [scaled] = of_kind(documents(), "ScaledObject").values()
    assert scaled["spec"] == printed["spec"]
    assert scaled["metadata"]["name"] == printed["metadata"]["name"]
    assert printed["spec"]["scaleTargetRef"]["name"] in of_kind(documents(), "Deployment")


def test_the_values_for_three_nodes_name_every_consumer(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*KEDA, "--values", "support"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    [three] = documents(EXAMPLES / "three-nodes.yaml")
    consumers = three["workers"]["support"]["scaling"]["consumers"]
    assert consumers == printed["workers"]["support"]["scaling"]["consumers"]


def test_workers_get_the_time_to_drain() -> None:
    pod = pod_of(of_kind(documents(), "Deployment")["layby-worker"])
    assert pod is not None
    assert pod["terminationGracePeriodSeconds"] > DRAINS_WITHIN
    [compose] = documents(DEPLOY / "compose.yaml")
    assert int(compose["services"]["worker"]["stop_grace_period"].rstrip("s")) > DRAINS_WITHIN


def test_whatever_serves_metrics_is_probed_and_found_by_prometheus() -> None:
    found = set[str]()
    for document in of_kind(documents(), "Deployment").values():
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
    assert found == {"worker", "exporter"}


def test_compose_probes_what_serves_metrics_and_prometheus_asks_it() -> None:
    [compose] = documents(DEPLOY / "compose.yaml")
    [prometheus] = documents(DEPLOY / "prometheus" / "prometheus.yml")
    [job] = prometheus["scrape_configs"]
    asked = {tuple(each["names"]): each["port"] for each in job["dns_sd_configs"]}
    served: dict[tuple[str, ...], int] = {}
    for name, service in compose["services"].items():
        if port := service.get("environment", {}).get("LAYBY_METRICS_PORT"):
            served[name,] = int(port)
            assert "/healthz" in service["healthcheck"]["test"][-1]
            assert "ports" not in service, "metrics need no login: nobody else may reach them"
    assert asked == served
    for file in prometheus["rule_files"]:
        assert (DEPLOY / "prometheus" / file).exists()


def test_containers_may_write_nowhere_but_to_their_volumes() -> None:
    [compose] = documents(DEPLOY / "compose.yaml")
    ours = [each for each in compose["services"].values() if "LAYBY_IMAGE" in each["image"]]
    assert len(ours) > 5
    for service in ours:
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    text = (DEPLOY / "Dockerfile").read_text()
    assert re.search(r"^USER [1-9]\d+$", text, re.MULTILINE), "by number, so that all can check it"
    assert 'ENTRYPOINT ["layby"]' in text, "signals reach the command and no shell"


def test_only_prometheus_reaches_metrics() -> None:
    policy = of_kind(documents(), "NetworkPolicy")["layby"]
    [rule] = policy["spec"]["ingress"]
    selected = policy["spec"]["podSelector"]["matchLabels"]
    for document in documents():
        spec = document.get("spec", {})
        spec = spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec
        if "template" in spec:
            assert selected.items() <= spec["template"]["metadata"]["labels"].items()
    assert rule["ports"] == [{"port": "metrics"}]
    assert [list(each) for each in rule["from"]] == [["namespaceSelector"]]


def test_one_server_version_everywhere() -> None:
    image = re.compile(r"image: \"?(?:\$\{LAYBY_NATS_IMAGE:-)?(nats:[^\s\"}]+)")
    texts = [path.read_text() for path in (*MANIFESTS, CHART / "values.yaml")]
    assert len({tag for text in texts for tag in image.findall(text)}) == 1


def test_the_chart_and_the_readme_have_the_same_files_of_the_server() -> None:
    inside = {path.name: path.read_text() for path in (CHART / "files").glob("*.conf")}
    assert inside == {
        path.name: path.read_text() for path in SERVER_FILES if path.name != "accounts.conf"
    }


def test_the_logins_of_the_chart_are_those_of_the_server() -> None:
    [values] = documents(CHART / "values.yaml")
    wall = Wall(apps=(outline(example),))
    known = {login.name: login for login in (*wall.inside(), wall.notifier("notifier"))}
    known |= {"observer": wall.observer("observer"), "operator": wall.operator("operator")}
    parts = ("workerDefaults", "notifierDefaults", "console", "exporter", "doctor", "operator")
    used = {values[part]["login"] for part in parts}
    used.add(values["workerDefaults"]["provision"]["login"])
    assert used == known.keys()
    for name in used:  # the chart forms both from the name
        assert known[name].variable == f"LAYBY_{name.upper()}_PASSWORD"
        assert known[name].inbox == f"_INBOX_{name}"


@pytest.mark.parametrize("who", ["ada", "helpdesk"])
def test_the_function_of_the_readme_logs_in_as_somebody(who: str, tmp_path: Path) -> None:
    text = (DEPLOY / "README.md").read_text()
    function = text[text.index("as() {") :].partition("; }\n")[0] + "; }"
    lines = [f"LAYBY_{each}_PASSWORD=of-{each.lower()}\n" for each in ("ADA", "HELPDESK", "WORKER")]
    (tmp_path / "layby.env").write_text("".join(lines))
    (tmp_path / "layby").write_text(
        '#!/bin/sh\necho "$NATS_USER $NATS_PASSWORD $NATS_INBOX_PREFIX $@"'
    )
    (tmp_path / "layby").chmod(0o700)
    ended = subprocess.run(  # noqa: S603
        ["bash", "-ec", f"{function}\nas {who} send 'a b'"],  # noqa: S607
        env={"HOME": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == f"{who} of-{who} _INBOX_{who} send a b\n"
