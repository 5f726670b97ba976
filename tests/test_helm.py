"""The chart in deploy/helm: what it makes, what it refuses, and that Kubernetes would take it.

Helm itself renders it; `.ci/run` builds helm where Go is. Nothing here runs in a cluster.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.helm import (
    ACCOUNTS,
    CHART,
    DEPLOY,
    ONE_NODE,
    RENDERED,
    THREE_NODES,
    built,
    documents,
    helm,
    of_kind,
    pod_of,
    refused,
    rendered,
    text,
)

EXAMPLES = {"one node": (ACCOUNTS, ONE_NODE), "three nodes": ((), THREE_NODES)}
CREDENTIALS = ("--set", "nats.credentials.kind=file", "--set", "nats.credentials.secret=logins")
CUSTOM = ("keda.sh/v1alpha1", "monitoring.coreos.com/v1")
WORKER = ("--set", "workers.worker.app=shop:app", "--set", "nats.url=nats://nats:4222")

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(params=EXAMPLES)
def example(request: pytest.FixtureRequest) -> list[Any]:
    words, values = EXAMPLES[request.param]
    return documents(*words, values=values)


def containers(found: list[Any]) -> dict[str, Any]:
    """The container of each pod, by its name."""
    pods = [pod for pod in map(pod_of, found) if pod is not None]
    return {container["name"]: container for pod in pods for container in pod["containers"]}


def environ(container: Any) -> dict[str, Any]:
    return {each["name"]: each for each in container["env"]}


def deployment(*words: str, name: str = "layby-worker") -> Any:
    return of_kind(documents(*WORKER, *words), "Deployment")[name]


def jobs(*words: str) -> dict[str, Any]:
    return of_kind(documents(*WORKER, *words), "Job")


def test_the_manifests_for_kubectl_are_what_the_chart_makes() -> None:
    assert RENDERED.read_text() == rendered(), "run `python -m tests.helm`"


@pytest.mark.parametrize("name", EXAMPLES)
def test_helm_finds_nothing_to_complain_about(name: str) -> None:
    words, values = EXAMPLES[name]
    files = [word for path in values for word in ("-f", str(path))]
    ended = helm("lint", "--strict", str(CHART), *files, *words)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_kubernetes_would_take_it(example: list[Any]) -> None:
    reason = "kubernetes-validate is not installed: pip install -e '.[dev]'"
    kubernetes = pytest.importorskip("kubernetes_validate", reason=reason)
    for document in example:
        if document["apiVersion"] not in CUSTOM:
            kubernetes.validate(document, "1.33", strict=True)


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema of Kubernetes that refuses fields which it does not name."""
    found = dict(schema)
    if "properties" in found:
        found["properties"] = {name: closed(each) for name, each in found["properties"].items()}
        if not found.get("x-kubernetes-preserve-unknown-fields"):
            found.setdefault("additionalProperties", False)
    if "items" in found:
        found["items"] = closed(found["items"])
    return found


def test_keda_would_take_it(example: list[Any]) -> None:
    """By the schema that KEDA's own release gives an API server."""
    definition = yaml.safe_load(built("keda.sh_scaledobjects.yaml").read_text())
    [version] = [each for each in definition["spec"]["versions"] if each["name"] == "v1alpha1"]
    schema = closed(version["schema"]["openAPIV3Schema"])
    validator = jsonschema.Draft202012Validator(schema)
    [scaled] = of_kind(example, "ScaledObject").values()
    assert [error.message for error in validator.iter_errors(scaled)] == []
    spec = scaled["spec"]
    assert not validator.is_valid({**scaled, "spec": {**spec, "minReplicas": 0}})
    assert not validator.is_valid({**scaled, "spec": {**spec, "maxReplicaCount": "10"}})
    assert not validator.is_valid({**scaled, "spec": {**spec, "triggers": [{"type": "cron"}]}})


def test_the_prometheus_operator_would_take_it() -> None:
    """By the operator's own types."""
    types = built("monitoring_types")

    def said(document: Any) -> str:
        text = json.dumps(document)
        return subprocess.run(  # noqa: S603
            [types], input=text, capture_output=True, text=True, check=False
        ).stderr

    found = [each for each in documents(values=THREE_NODES) if each["apiVersion"] == CUSTOM[1]]
    assert {each["kind"] for each in found} == {"ServiceMonitor", "PrometheusRule"}
    for document in found:
        assert said(document) == ""
        assert "unknown field" in said({**document, "spec": {**document["spec"], "more": 1}})


def test_every_pod_is_allowed_where_pods_are_restricted(example: list[Any]) -> None:
    """As the Pod Security Standard `restricted` asks, and with a root file system to read only."""
    kinds = {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}
    found = [pod for pod in map(pod_of, example) if pod is not None]
    assert len(found) > 5
    for pod in found:
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.keys()
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert all(kinds & volume.keys() for volume in pod["volumes"])
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]
            assert {each["name"] for each in container["volumeMounts"]} <= {
                *(volume["name"] for volume in pod["volumes"]),
                "data",
            }


def test_a_pod_gets_the_password_of_one_login(example: list[Any]) -> None:
    for name, container in containers(example).items():
        if name == "nats":
            continue
        found = environ(container)
        login = found["NATS_USER"]["value"]
        secret = found["NATS_PASSWORD"]["valueFrom"]["secretKeyRef"]
        assert secret == {"name": "nats-passwords", "key": f"LAYBY_{login.upper()}_PASSWORD"}
        assert found["NATS_INBOX_PREFIX"]["value"] == f"_INBOX_{login}"
        assert found["NATS_URL"]["value"].startswith("tls://")


def test_a_selector_finds_its_own_pods_alone(example: list[Any]) -> None:
    labels = {
        each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"]
        for each in example
        if each["kind"] in {"Deployment", "StatefulSet"}
    }
    for each in example:
        if each["kind"] in {"Deployment", "StatefulSet"}:
            wanted = each["spec"]["selector"]["matchLabels"].items()
            found = [name for name, held in labels.items() if wanted <= held.items()]
            assert found == [each["metadata"]["name"]]


def test_with_files_of_credentials_a_pod_gets_one_file() -> None:
    for document in documents(*WORKER, *CREDENTIALS, "--set", "operator.enabled=true"):
        pod = pod_of(document)
        if pod is None:
            continue
        [container] = pod["containers"]
        found = environ(container)
        login = found["NATS_INBOX_PREFIX"]["value"].removeprefix("_INBOX_")
        assert found["NATS_CREDS"]["value"] == f"/etc/nats-creds/{login}.creds"
        assert not {"NATS_USER", "NATS_PASSWORD"} & found.keys()
        [volume] = [each for each in pod["volumes"] if each["name"] == "credentials"]
        file = f"{login}.creds"
        assert volume["secret"] == {"secretName": "logins", "items": [{"key": file, "path": file}]}


def test_without_tls_nobody_needs_an_authority() -> None:
    server = ("--set", "server.enabled=true", "--set", "nats.tls.enabled=false")
    found = documents("--set", "workers.worker.app=shop:app", *server, *ACCOUNTS)
    assert environ(containers(found)["worker"])["NATS_URL"]["value"] == "nats://nats:4222"
    assert not re.search(r"nats-tls|NATS_CA", yaml.safe_dump_all(found))
    files = of_kind(found, "ConfigMap")["layby-nats"]["data"]
    assert "cert_file" not in files["tls.conf"]
    assert files["nats-server.conf"] == (DEPLOY / "nats-server.conf").read_text()
    assert files["accounts.conf"] == (DEPLOY / "accounts.conf").read_text()


def test_a_server_whose_configuration_changes_is_restarted(tmp_path: Path) -> None:
    (tmp_path / "other.conf").write_text("accounts {}")
    other = ("--set-file", f"server.accounts={tmp_path / 'other.conf'}")
    sums = set[str]()
    for words in (ACCOUNTS, ACCOUNTS, other):
        server = of_kind(documents(*words, values=ONE_NODE), "StatefulSet")["nats"]
        sums.add(server["spec"]["template"]["metadata"]["annotations"]["checksum/config"])
    assert len(sums) == 2


def test_the_number_of_workers_is_kedas_or_yours() -> None:
    assert deployment()["spec"]["replicas"] == 1
    assert deployment("--set", "workers.worker.replicas=4")["spec"]["replicas"] == 4
    scaled = of_kind(documents(*ACCOUNTS, values=ONE_NODE), "Deployment")["layby-worker"]
    assert "replicas" not in scaled["spec"], "an upgrade would undo what KEDA has set"


def test_an_app_has_workers_of_its_own() -> None:
    found = documents(values=THREE_NODES)
    images = {name: container["image"] for name, container in containers(found).items()}
    assert images["shop"] == images["shop-notify"] == "registry.example.com/shop:7"
    assert re.fullmatch(r"registry\.example\.com/layby@sha256:[0-9a-f]{64}", images["support"])
    arguments = containers(found)["shop"]["args"]
    assert arguments == ["worker", "shop.app:app", "--json", "--name", "$(POD_NAME)"]
    assert containers(found)["shop-notify"]["args"] == ["notify", *arguments[1:]]
    assert len(of_kind(found, "ScaledObject")) == 1
    budgets = of_kind(found, "PodDisruptionBudget")
    assert set(budgets) == {"layby-support", "layby-shop"}
    assert all(each["spec"]["maxUnavailable"] == 1 for each in budgets.values())


@pytest.mark.parametrize(
    ("own", "image"),
    [
        ("{pullPolicy: Always}", "layby@sha256:" + "0" * 64),
        ('{tag: "7"}', "layby:7"),
        ("{repository: shop}", "shop:0.1.0"),
        ('{repository: shop, digest: "sha256:%s"}' % ("1" * 64), "shop@sha256:" + "1" * 64),
    ],
)
def test_a_digest_is_of_one_image_alone(own: str, image: str, tmp_path: Path) -> None:
    values = f"image: {{digest: 'sha256:{'0' * 64}'}}\nworkers: {{worker: {{image: {own}}}}}\n"
    (tmp_path / "values.yaml").write_text(values)
    found = documents(*WORKER, values=(tmp_path / "values.yaml",))
    assert containers(found)["worker"]["image"] == containers(found)["provision"]["image"] == image


def test_a_notifier_runs_as_workers_do() -> None:
    found = documents(values=THREE_NODES)
    notify, worker = (containers(found)[name] for name in ("shop-notify", "shop"))
    for same in ("livenessProbe", "readinessProbe", "ports", "securityContext", "volumeMounts"):
        assert notify[same] == worker[same]
    assert notify["envFrom"] == [{"secretRef": {"name": "shop-channels"}}]
    assert environ(notify)["NATS_USER"]["value"] == "notifier"


def test_the_first_release_provisions_along_with_the_workers_and_a_later_one_before_them() -> None:
    [(name, job)] = jobs().items()
    assert "annotations" not in job["metadata"], (
        "helm --wait would wait for workers that wait for it"
    )
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure"
    [(later, hook)] = jobs("--is-upgrade").items()
    assert hook["metadata"]["annotations"] == {
        "helm.sh/hook": "pre-upgrade",
        "helm.sh/hook-delete-policy": "before-hook-creation",
    }
    assert hook["spec"] == job["spec"]
    assert name != later, "helm removes what the release before had, by its name"


def test_a_job_that_differs_has_another_name() -> None:
    """A Job cannot be changed: `kubectl apply` makes a new one, or leaves the old one as it is."""
    ways = ("image.tag=v2", "workers.worker.provision.args={--prune}", "workers.worker.app=shop:b")
    names = [*jobs(), *jobs(), *(name for way in ways for name in jobs("--set", way))]
    assert len(set(names)) == 4
    assert all(len(name) <= 63 for name in names)


def test_observers_are_not_provisioned_for() -> None:
    assert not jobs("--set", "workers.worker.provision.enabled=false")
    [container] = jobs()["".join(jobs())]["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["provision", "shop:app"]
    assert environ(container)["NATS_USER"]["value"] == "provisioner"


def test_browsers_reach_the_console_over_tls_alone() -> None:
    found = documents(values=THREE_NODES)
    console = containers(found)["console"]
    words = console["args"]
    assert words[:8] == [
        *("console", "--json", "--host", "0.0.0.0", "--port", "7422", "--auth", "nats")  # noqa: S104
    ]
    assert "layby.example.com" in words[8:]
    service = of_kind(found, "Service")["layby-console"]
    ingress = of_kind(found, "Ingress")["layby-console"]["spec"]
    assert ingress["tls"] == [{"hosts": ["layby.example.com"], "secretName": "console-tls"}]
    [path] = ingress["rules"][0]["http"]["paths"]
    assert path["backend"]["service"] == {"name": "layby-console", "port": {"name": "http"}}
    assert service["spec"]["ports"][0]["targetPort"] == console["ports"][0]["name"] == "http"
    policy = of_kind(found, "NetworkPolicy")["layby-console"]["spec"]
    assert policy["ingress"][0]["ports"] == [{"port": "http"}]


def test_prometheus_finds_the_pods_and_the_alerts() -> None:
    found = documents(values=THREE_NODES)
    [monitor] = of_kind(found, "ServiceMonitor").values()
    [service] = [
        each
        for each in of_kind(found, "Service").values()
        if monitor["spec"]["selector"]["matchLabels"].items() <= each["metadata"]["labels"].items()
    ]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    assert service["spec"]["publishNotReadyAddresses"] is True
    served = {
        each["metadata"]["labels"]["app.kubernetes.io/component"]
        for each in of_kind(found, "Deployment").values()
        if service["spec"]["selector"].items()
        <= each["spec"]["template"]["metadata"]["labels"].items()
        and {"name": "metrics"}.items()
        <= (containers([each])[next(iter(containers([each])))].get("ports") or [{}])[0].items()
    }
    assert served == {"support", "shop", "shop-notify", "exporter"}
    [rules] = of_kind(found, "PrometheusRule").values()
    assert rules["spec"] == yaml.safe_load((DEPLOY / "prometheus" / "layby.rules.yaml").read_text())


def test_nothing_is_made_that_was_not_asked_for() -> None:
    kinds = {each["kind"] for each in documents(*WORKER, "--skip-tests")}
    assert kinds == {"CronJob", "Deployment", "Job", "NetworkPolicy", "PodDisruptionBudget"}
    assert set(of_kind(documents(*WORKER), "CronJob")) == {"layby-doctor"}


def test_two_releases_share_a_namespace() -> None:
    ended = helm("template", "shop", str(CHART), *WORKER)
    others = [each for each in yaml.safe_load_all(ended.stdout) if each]
    both = [(each["kind"], each["metadata"]["name"]) for each in (*documents(*WORKER), *others)]
    assert len(both) == len(set(both))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--set", "workers.worker.app=shop:app"), "Name a server in nats.url"),
        (("--set", "server.enabled=true"), "Say who may log in: --set-file server.accounts"),
        ((*WORKER, "--set", "workers.worker.scaling.enabled=true"), "layby deploy keda shop:app"),
        ((*WORKER, "--set", "workers.Worker.app=a:b"), "Worker"),
        ((*WORKER, "--set", "workers.console.app=a:b"), "console"),
        ((*WORKER, "--set", "workers.other.replicas=2"), "app"),
        ((*WORKER, "--set", "workers.other.app=shop"), "app"),
        ((*WORKER, "--set", "workers.worker.replica=2"), "replica"),
        ((*WORKER, "--set", "workers.worker.drainSeconds=20"), "drainSeconds"),
        ((*WORKER, "--set", "notifiers.worker.app=a:b"), "both called worker"),
        ((*WORKER, "--set", "console.auth=token"), "auth"),
        ((*WORKER, "--set", "image.digest=latest"), "digest"),
        ((*WORKER, "--set", "wrokers.worker.app=a:b"), "wrokers"),
        ((*WORKER, "--set", "backup.enabled=true"), "Say where backups go: backup.claim"),
        (
            (
                *(
                    *WORKER,
                    "--set",
                    "console.enabled=true",
                    "--set",
                    "console.ingress.host=a.example",
                ),
                *("--set", "console.ingress.enabled=true"),
            ),
            "console.ingress.tlsSecret",
        ),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(words: tuple[str, ...], says: str) -> None:
    assert says in refused(*words)


def test_a_name_in_the_values_cannot_become_yaml() -> None:
    tricky = "a: b\nc"
    found = documents(*WORKER, "--set-literal", f"pod.annotations.note={tricky}")
    worker = of_kind(found, "Deployment")["layby-worker"]
    assert worker["spec"]["template"]["metadata"]["annotations"]["note"] == tricky
    assert "kubernetes.io/os" in text(values=THREE_NODES)


def test_the_notes_say_what_to_do_next() -> None:
    ended = helm(
        *("install", "layby", str(CHART), "--dry-run=client", *WORKER),
        *("--set", "operator.enabled=true"),
    )
    assert "helm --namespace default test layby" in ended.stdout, ended.stderr
    assert "layby-worker runs shop:app" in ended.stdout


def readme(language: str) -> list[str]:
    """The blocks of one language under Kubernetes in deploy/README.md."""
    _, _, section = (DEPLOY / "README.md").read_text().partition("\n## Kubernetes\n")
    section = section.partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```", section, re.DOTALL | re.MULTILINE)


def test_the_commands_of_the_readme_make_what_they_say() -> None:
    lines = [line for block in readme("sh") for line in block.replace("\\\n", " ").splitlines()]
    [line] = [line for line in lines if line.startswith("helm upgrade --install")]
    ended = helm("template", *shlex.split(line)[3:])
    assert ended.returncode == 0, ended.stderr
    found = [each for each in yaml.safe_load_all(ended.stdout) if each]
    assert containers(found)["worker"]["image"] == "registry.example.com/layby:latest"
    files = [word.partition("=")[2] for line in lines for word in shlex.split(line, comments=True)]
    named = [file for file in files if file.startswith("deploy/")]
    assert len(named) == 5
    assert all((DEPLOY.parent / file).is_file() for file in named)


def test_the_values_of_the_readme_work(tmp_path: Path) -> None:
    [block] = [block for block in readme("yaml") if "values.yaml" in block]
    (tmp_path / "values.yaml").write_text(block)
    scaling = "workers: {shop: {scaling: {consumers: [{account: A, stream: S, consumer: c}]}}}"
    (tmp_path / "scaling.yaml").write_text(scaling)
    found = documents(*ACCOUNTS, values=(tmp_path / "values.yaml", tmp_path / "scaling.yaml"))
    assert {"layby-shop", "layby-notify"} <= set(of_kind(found, "Deployment"))
    [scaled] = of_kind(found, "ScaledObject").values()
    assert scaled["spec"]["scaleTargetRef"] == {"name": "layby-shop"}
    [accounts] = re.findall(r"layby accounts config .*? (--.*) >", "".join(readme("sh")))
    login = environ(containers(found)["notify"])["NATS_USER"]["value"]
    assert accounts == f"--notifier {login}", "the server must know the notifier of the values"
