"""A real API server takes what deploy/ has for Kubernetes, and changes nothing the second time.

It runs no pod, so this says nothing about probes, network policies or KEDA itself. Without
LAYBY_TEST_APISERVER all of it is skipped: see tests/cluster.py.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from layby.cli.entry import run
from tests.cluster import Cluster, built, running
from tests.fix_layby import Desk
from tests.helm import ACCOUNTS, CHART, ONE_NODE, RENDERED, THREE_NODES, documents, helm

pytestmark = [pytest.mark.proof, pytest.mark.timeout(300)]

EVERYTHING = (
    *(*ACCOUNTS, "--set", "server.enabled=true", "--set", "server.storageClass=fast"),
    *("--set", "workers.support.scaling.endpoint=nats:8222", "--set", "nats.url="),
    *("--set", "nats.credentials.kind=file", "--set", "nats.credentials.secret=logins"),
)
"""Over the values of three nodes: what these leave off."""
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(built(), tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> str:
    _names.append(request.node.name)
    return cluster.namespace(f"n{len(_names)}", **RESTRICTED)


_names: list[str] = []


@pytest.fixture(params=["for kubectl", "one node", "three nodes", "everything"])
def made(request: pytest.FixtureRequest) -> list[Any]:
    """The documents of an installation."""
    ways = {
        "one node": (ACCOUNTS, ONE_NODE),
        "three nodes": ((), THREE_NODES),
        "everything": (EVERYTHING, THREE_NODES),
    }
    if request.param not in ways:
        return list(yaml.safe_load_all(RENDERED.read_text()))
    words, values = ways[request.param]
    return documents(*words, values=values)


def applied(cluster: Cluster, namespace: str, found: list[Any]) -> dict[tuple[str, str], str]:
    """Apply all of it: the versions of what is stored then."""
    versions: dict[tuple[str, str], str] = {}
    for document in found:
        reply = cluster.apply(document, namespace)
        assert reply.code in {200, 201}, reply.body
        assert reply.warnings == [], document["kind"]
        about = reply.body["metadata"]
        versions[document["kind"], about["name"]] = about["resourceVersion"]
    return versions


def pods(found: list[Any]) -> Iterator[Any]:
    """The pods that a cluster's controllers would make of these documents."""
    for document in found:
        spec: dict[str, Any] = document.get("spec") or {}
        spec = spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec
        template = document if document["kind"] == "Pod" else spec.get("template")
        if template is None:
            continue
        claims: list[str] = [
            each["metadata"]["name"] for each in spec.get("volumeClaimTemplates", [])
        ]
        volumes: list[Any] = [
            *template["spec"].get("volumes", []),
            *({"name": each, "persistentVolumeClaim": {"claimName": each}} for each in claims),
        ]
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**template["metadata"], "name": document["metadata"]["name"]},
            "spec": {**template["spec"], "volumes": volumes},
        }


def test_it_is_taken_and_the_second_time_nothing_changes(
    cluster: Cluster, namespace: str, made: list[Any]
) -> None:
    first = applied(cluster, namespace, made)
    assert len(first) == len(made)
    assert applied(cluster, namespace, made) == first


def test_its_pods_are_admitted_where_they_must_be_restricted(
    cluster: Cluster, namespace: str, made: list[Any]
) -> None:
    several = list(pods(made))
    assert len(several) > 5
    for pod in several:
        admitted = cluster.create(pod, namespace, dry=True)
        assert admitted.code == 201, admitted.body
        assert admitted.warnings == []
    loose: dict[str, Any] = {**several[0], "spec": {**several[0]["spec"], "securityContext": {}}}
    assert cluster.create(loose, namespace, dry=True).code == 403, "nobody judges pods here"


def test_a_field_that_nobody_knows_is_refused(cluster: Cluster, namespace: str) -> None:
    """So what was taken above has none."""
    for document in documents(values=THREE_NODES):
        wrong = {**document, "spec": {**document.get("spec", {}), "wrong": 1}}
        reply = cluster.apply(wrong, namespace)
        assert reply.code in {400, 422, 500}, document["kind"]
        assert "wrong" in reply.body["message"]


def test_a_new_image_changes_what_runs_it_and_provisions_again(
    cluster: Cluster, namespace: str
) -> None:
    before = applied(cluster, namespace, documents(*ACCOUNTS, values=ONE_NODE))
    later = documents(*ACCOUNTS, "--set", "image.tag=later", values=ONE_NODE)
    after = applied(cluster, namespace, later)
    changed = {
        (kind, name) for kind, name in before if before[kind, name] != after.get((kind, name))
    }
    [job] = [key for key in before if key[0] == "Job"]
    names = ("layby-worker", "layby-exporter", "layby-operator")
    pod = {key for key in before if key[0] == "Pod"}  # of `helm test`: helm makes it anew
    doctor = {("CronJob", "layby-doctor")}
    assert changed - pod == {*(("Deployment", name) for name in names), *doctor, job}
    assert len(after.keys() - before.keys()) == 1, "another job"


def test_workers_may_be_replaced_in_another_way_and_back(cluster: Cluster, namespace: str) -> None:
    """Server-side apply keeps what nobody has set, and beside Recreate that is refused."""
    for strategy in ("RollingUpdate", "Recreate", "RollingUpdate", "Recreate"):
        words = ("--set", f"workers.worker.strategy={strategy}")
        applied(cluster, namespace, documents(*ACCOUNTS, *words, values=ONE_NODE))


def test_another_size_of_the_servers_volume_is_refused(cluster: Cluster, namespace: str) -> None:
    """As deploy/README.md says: a StatefulSet cannot change its claims."""
    applied(cluster, namespace, documents(*ACCOUNTS, values=ONE_NODE))
    larger = documents(*ACCOUNTS, "--set", "server.storage=80Gi", values=ONE_NODE)
    [server] = [each for each in larger if each["kind"] == "StatefulSet"]
    reply = cluster.apply(server, namespace)
    assert reply.code == 422, reply.body
    cluster.remove(server, namespace)
    assert cluster.apply(server, namespace).code == 201


def test_what_layby_deploy_keda_prints_is_taken(
    cluster: Cluster, namespace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    app = "examples.support_agent:app"
    assert run(["deploy", "keda", app, "--namespace", namespace, "--deployment", "shop"]) == 0
    scaled = yaml.safe_load(capsys.readouterr().out)
    first = applied(cluster, namespace, [scaled])
    assert applied(cluster, namespace, [scaled]) == first


class Release:
    """The release `layby` of the chart, for one node."""

    def __init__(self, cluster: Cluster, namespace: str, config: Path) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._common = "--namespace", namespace, "--kubeconfig", str(cluster.kubeconfig(config))

    def helm(self, *words: str) -> subprocess.CompletedProcess[str]:
        return helm(*words, *self._common)

    def done(self, *words: str) -> str:
        ended = self.helm(*words)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    @property
    def worker(self) -> tuple[str, int]:
        """The image of the workers, and how often their Deployment was changed."""
        path = f"/apis/apps/v1/namespaces/{self._namespace}/deployments/layby-worker"
        found = self._cluster.asked(path).body
        [container] = found["spec"]["template"]["spec"]["containers"]
        return container["image"], found["metadata"]["generation"]

    def provisioned(self, revision: int, *conditions: str) -> None:
        """Be the controller of Jobs: end the one of an upgrade, once it is there, like this."""
        path = (
            f"/apis/batch/v1/namespaces/{self._namespace}/jobs/layby-provision-worker-r{revision}"
        )
        Desk.sooner_or_later(lambda: self._cluster.asked(path).code == 200)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        about = [
            {"type": each, "status": "True", "reason": "Test", "lastTransitionTime": now}
            for each in conditions
        ]
        status: dict[str, Any] = {"startTime": now, "conditions": about}
        if "Complete" in conditions:
            status |= {"completionTime": now, "succeeded": 1}
        content = "application/merge-patch+json"
        reply = self._cluster.asked(f"{path}/status", "PATCH", {"status": status}, content)
        assert reply.code == 200, reply.body


INSTALL = (
    *("upgrade", "--install", "layby", str(CHART), *ACCOUNTS),
    *(word for path in ONE_NODE for word in ("-f", str(path))),
)


@pytest.fixture
def release(cluster: Cluster, namespace: str, tmp_path: Path) -> Release:
    return Release(cluster, namespace, tmp_path / "kubeconfig")


def test_helm_installs_upgrades_and_rolls_back(
    cluster: Cluster, namespace: str, release: Release
) -> None:
    install = (*INSTALL, "--no-hooks")
    release.done(*install)
    release.done(*install)
    assert release.worker == ("layby:latest", 1)
    release.done(*install, "--set", "image.tag=later")
    assert release.worker == ("layby:later", 2)
    release.done("rollback", "layby", "2", "--no-hooks")
    assert release.worker == ("layby:latest", 3)
    assert "rollback" in release.done("history", "layby").lower()
    release.done("uninstall", "layby", "--no-hooks")
    assert cluster.asked(f"/apis/apps/v1/namespaces/{namespace}/deployments").body["items"] == []


def test_an_upgrade_provisions_first_and_changes_nothing_if_that_fails(release: Release) -> None:
    release.done(*INSTALL)
    later = (*INSTALL, "--set", "image.tag=later")
    with ThreadPoolExecutor(1) as pool:
        upgrading = pool.submit(release.helm, *later)
        release.provisioned(2, "FailureTarget", "Failed")
        assert "pre-upgrade hooks failed" in upgrading.result().stderr
        assert release.worker == ("layby:latest", 1)
        upgrading = pool.submit(release.helm, *later)
        release.provisioned(3, "SuccessCriteriaMet", "Complete")
        assert upgrading.result().returncode == 0, upgrading.result().stderr
        assert release.worker == ("layby:later", 2)
