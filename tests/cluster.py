"""A real API server of Kubernetes with its etcd: it stores and judges, and runs no pod.

`python -m tests.cluster FOLDER` builds both with Go, and fetches the definitions of KEDA's and the
Prometheus Operator's kinds; that takes minutes. LAYBY_TEST_APISERVER=FOLDER makes tests use them.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.parse
from collections.abc import Generator, Iterable
from functools import partial
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.fix_layby import Desk
from tests.scraping import free_port

KUBERNETES = "1.36.3"
ETCD = "3.6.16"
DEFINITIONS = {
    "github.com/kedacore/keda/v2@v2.21.0": ["config/crd/bases/keda.sh_scaledobjects.yaml"],
    # No later release of the operator's main module can be had from a proxy for modules.
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": [
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ],
}
"""The files with the definitions of kinds that are not Kubernetes' own, by module."""
_APISERVER = "kube-apiserver"
_ETCD = "etcd"
_MAIN = {
    _APISERVER: """\
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() { os.Exit(cli.Run(app.NewAPIServerCommand())) }
""",
    _ETCD: """\
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
""",
}
_TOKEN = "of-this-test-alone"  # noqa: S105


class Reply(NamedTuple):
    """What the API server says."""

    code: int
    body: Any
    warnings: list[str]


class Cluster:
    """An API server, with a client that may do everything."""

    def __init__(self, port: int, certificate: Path) -> None:
        self.url = f"https://127.0.0.1:{port}"
        self._port = port
        self._certificate = certificate
        self._paths: dict[tuple[str, str], tuple[str, bool]] = {}

    def asked(
        self, path: str, method: str = "GET", body: Any = None, content: str = "application/json"
    ) -> Reply:
        """One request."""
        trusted = ssl.create_default_context(cafile=str(self._certificate))
        connection = HTTPSConnection("127.0.0.1", self._port, timeout=30, context=trusted)
        try:
            text = None if body is None else json.dumps(body)
            headers = {"Authorization": f"Bearer {_TOKEN}", "Content-Type": content}
            connection.request(method, path, text, headers)
            response = connection.getresponse()
            warnings = response.headers.get_all("Warning") or []
            said = response.read()
            return Reply(response.status, json.loads(said) if said[:1] == b"{" else said, warnings)
        finally:
            connection.close()

    def apply(self, document: Any, namespace: str) -> Reply:
        """As `kubectl apply --server-side --validate=strict`: an unknown field is refused."""
        query = urllib.parse.urlencode({"fieldManager": "layby", "fieldValidation": "Strict"})
        path = f"{self._path(document, namespace)}/{document['metadata']['name']}?{query}"
        return self.asked(path, "PATCH", document, "application/apply-patch+yaml")

    def create(self, document: Any, namespace: str, *, dry: bool = False) -> Reply:
        """As `kubectl create`; a `dry` run passes all that judges it, and is not stored."""
        query = "?fieldValidation=Strict" + ("&dryRun=All" if dry else "")
        return self.asked(self._path(document, namespace) + query, "POST", document)

    def remove(self, document: Any, namespace: str) -> None:
        """Delete it, and leave what it has made: no collector of garbage runs here."""
        path = f"{self._path(document, namespace)}/{document['metadata']['name']}"
        removed = self.asked(path, "DELETE", {"propagationPolicy": "Background"})
        assert removed.code == 200, removed.body

    def namespace(self, name: str, **labels: str) -> str:
        """A new namespace, with what a cluster's controllers would put into it."""
        about = {"name": name, "labels": labels}
        made = self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": about}, "")
        assert made.code == 201, made.body
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        assert self.create(account, name).code == 201
        return name

    def define(self, files: Iterable[Path]) -> None:
        """Add the kinds of these definitions, and wait until they are served."""
        for file in files:
            definition = yaml.safe_load(file.read_text())
            applied = self.apply(definition, "")
            assert applied.code in {200, 201}, applied.body
            [version] = [each["name"] for each in definition["spec"]["versions"] if each["storage"]]
            group, plural = definition["spec"]["group"], definition["spec"]["names"]["plural"]
            path = f"/apis/{group}/{version}/{plural}"
            Desk.sooner_or_later(partial(self._serves, path))

    def _serves(self, path: str) -> bool:
        return self.asked(path).code == 200

    def _path(self, document: Any, namespace: str) -> str:
        version, kind = document["apiVersion"], document["kind"]
        base = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if (version, kind) not in self._paths:
            for each in self.asked(base).body["resources"]:
                if "/" not in each["name"]:
                    self._paths[version, each["kind"]] = each["name"], each["namespaced"]
        plural, namespaced = self._paths[version, kind]
        return f"{base}/namespaces/{namespace}/{plural}" if namespaced else f"{base}/{plural}"

    def kubeconfig(self, file: Path) -> Path:
        """Write what kubectl and helm need to reach it."""
        named = {"server": self.url, "certificate-authority": str(self._certificate)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": named}],
            "users": [{"name": "test", "user": {"token": _TOKEN}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }
        file.write_text(yaml.safe_dump(config))
        return file


def built() -> Path:
    """The folder with what was built; without it the test is skipped."""
    folder = os.environ.get("LAYBY_TEST_APISERVER", "")
    if not folder:
        pytest.skip(
            "LAYBY_TEST_APISERVER names no folder: `python -m tests.cluster FOLDER` fills one"
        )
    return Path(folder)


@contextlib.contextmanager
def running(binaries: Path, folder: Path) -> Generator[Cluster]:
    """An empty cluster that runs while the block is open."""
    store, peer, port = free_port(), free_port(), free_port()
    key, certificates = folder / "accounts.key", folder / "certificates"
    subprocess.run(  # noqa: S603
        ["openssl", "genrsa", "-out", key, "2048"],  # noqa: S607
        check=True,
        capture_output=True,
    )
    (folder / "tokens.csv").write_text(f'{_TOKEN},admin,1,"system:masters"\n')
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            _process(
                folder / "etcd.log",
                *(binaries / _ETCD, "--data-dir", folder / "etcd", "--unsafe-no-fsync"),
                *("--listen-client-urls", f"http://127.0.0.1:{store}"),
                *("--advertise-client-urls", f"http://127.0.0.1:{store}"),
                *("--listen-peer-urls", f"http://127.0.0.1:{peer}"),
                *("--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}"),
                *("--initial-cluster", f"default=http://127.0.0.1:{peer}"),
            )
        )
        stack.enter_context(
            _process(
                folder / "apiserver.log",
                *(binaries / _APISERVER, f"--etcd-servers=http://127.0.0.1:{store}"),
                *("--bind-address=127.0.0.1", f"--secure-port={port}"),
                *(f"--cert-dir={certificates}", f"--token-auth-file={folder / 'tokens.csv'}"),
                *("--authorization-mode=RBAC", "--endpoint-reconciler-type=none"),
                *("--service-account-issuer=https://kubernetes.default.svc",),
                *(f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"),
                "--service-cluster-ip-range=10.0.0.0/24",
            )
        )
        made = Cluster(port, certificates / "apiserver.crt")

        def is_ready() -> bool:
            with contextlib.suppress(OSError, HTTPException):
                return made.asked("/readyz").code == 200
            return False

        Desk.sooner_or_later(is_ready)
        made.define(sorted(binaries.glob("*.yaml")))
        yield made


@contextlib.contextmanager
def _process(log: Path, *words: str | Path) -> Generator[None]:
    with log.open("wb") as file:
        process = subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT)  # noqa: S603
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def build(folder: Path) -> None:
    """Fill a folder with the two binaries and the definitions of kinds."""
    folder.mkdir(parents=True, exist_ok=True)
    for module, files in DEFINITIONS.items():
        found = _downloaded(module)
        for file in files:
            shutil.copyfile(Path(found["Dir"]) / file, folder / Path(file).name)
    needs = _downloaded(f"k8s.io/kubernetes@v{KUBERNETES}")["GoMod"]
    staged = sorted(
        set(re.findall(r"(k8s\.io/\S+) v0\.0\.0$", Path(needs).read_text(), re.MULTILINE))
    )
    parts = "0." + KUBERNETES.partition(".")[2]
    version = f"-X k8s.io/component-base/version.gitVersion=v{KUBERNETES}"
    _compiled(
        folder / _APISERVER,
        [f"-require=k8s.io/kubernetes@v{KUBERNETES}"]
        + [f"-replace={each}={each}@v{parts}" for each in staged],
        version,
    )
    _compiled(folder / _ETCD, [f"-require=go.etcd.io/etcd/server/v3@v{ETCD}"], "")


def _compiled(to: Path, edits: list[str], flags: str) -> None:
    with tempfile.TemporaryDirectory() as aside:
        (Path(aside) / "main.go").write_text(_MAIN[to.name])
        _go(aside, "mod", "init", "aside")
        _go(aside, "mod", "edit", *edits)
        _go(aside, "mod", "tidy", "-e")  # -e: for tests of theirs a module may be missing
        _go(aside, "build", "-ldflags", flags, "-o", str(to.absolute()), ".")


def _downloaded(module: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(_go("/", "mod", "download", "-json", module))
    return found


def _go(folder: str, *words: str) -> str:
    environ = {**os.environ, "GOFLAGS": "-mod=mod"}
    return subprocess.run(  # noqa: S603
        ["go", *words],  # noqa: S607
        cwd=folder,
        env=environ,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


if __name__ == "__main__":
    build(Path(sys.argv[1]))
    sys.stdout.write(f"{sys.argv[1]} is full: LAYBY_TEST_APISERVER={sys.argv[1]}\n")
