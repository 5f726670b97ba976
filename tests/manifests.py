"""What deploy/ starts, as processes of this machine: arguments, environment and mounted files.

A container is a folder here: what is mounted at /etc/nats lies in FOLDER/etc/nats, and arguments,
variables and configuration files name it there. The host `nats` is 127.0.0.1. All else is as the
manifests have it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.helm import RENDERED, pod_of

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
SERVER_FILES = (
    *(DEPLOY / name for name in ("nats-server.conf", "accounts.conf", "tls.conf")),
    DEPLOY / "kubernetes" / "nats.conf",
)
"""What the README puts into the ConfigMap of the server."""
BESIDE = {"prometheus", "grafana"}
"""Services of Compose that are not Layby's."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A container."""

    name: str
    arguments: tuple[str, ...]
    environ: dict[str, str]
    mounts: dict[str, Path]

    def here(self, text: str, nats: str = "") -> str:
        """A text of the container's, with paths and the address of the server as they are here."""
        folders = "|".join(map(re.escape, sorted(self.mounts, key=len, reverse=True)))
        pattern = rf"(?<![\w/.-])({folders})(?=[/\"']|$|\s)"
        text = re.sub(pattern, lambda found: str(self.mounts[found[1]]), text) if folders else text
        return text.replace("nats:4222", nats) if nats else text


def shell(heading: str, home: Path) -> None:
    """Run the first block of commands under a heading of deploy/README.md, in `home`."""
    _, _, text = (DEPLOY / "README.md").read_text().partition(f"\n## {heading}\n")
    block = text.partition("```sh\n")[2].partition("```")[0]
    assert block, heading
    environ = {"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    subprocess.run(  # noqa: S603
        ["bash", "-ec", block],  # noqa: S607
        cwd=home,
        env=environ,
        check=True,
        capture_output=True,
    )


def passwords(home: Path) -> dict[str, str]:
    """What `shell("Passwords", home)` wrote."""
    lines = (home / "layby.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def image() -> dict[str, str]:
    """The variables that the image sets."""
    [line] = re.findall(r"^ENV (.*)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    return dict(pair.split("=", 1) for pair in line.split())


def compose(folder: Path, variables: Mapping[str, str], *files: str) -> dict[str, Part]:
    """The services of Compose files, each laid over those before it."""
    ports: dict[str, dict[str, Any]] = {}
    for file in files:
        for name, service in yaml.safe_load((DEPLOY / file).read_text())["services"].items():
            if name in BESIDE:
                continue
            before = ports.setdefault(name, {"environment": {}, "volumes": []})
            environ = {**before["environment"], **service.get("environment", {})}
            volumes = [*before["volumes"], *service.get("volumes", [])]
            ports[name] = {**before, **service, "environment": environ, "volumes": volumes}
    return {name: _service(folder, name, each, variables) for name, each in ports.items()}


def _service(folder: Path, name: str, service: Any, variables: Mapping[str, str]) -> Part:
    mounts: dict[str, Path] = {}
    for volume in service["volumes"]:
        source, inside = _filled(volume, variables).removesuffix(":ro").rsplit(":", 1)
        if "/" in source:
            mounts[inside] = _copied((DEPLOY / source).resolve(), folder / name / inside[1:])
        else:
            mounts[inside] = _made(folder / "volumes" / source)
    environ = {key: _filled(str(text), variables) for key, text in service["environment"].items()}
    words = tuple(_filled(word, variables) for word in service["command"])
    return Part(name=name, arguments=words, environ=environ, mounts=mounts)


def _filled(text: str, variables: Mapping[str, str]) -> str:
    """Compose's interpolation, as far as the files use it."""

    def value(match: re.Match[str]) -> str:
        found = variables.get(match["name"], "")
        assert found or match["how"] == "-", f"{match['name']} is not set"
        return found or match["rest"]

    return re.sub(r"\$\{(?P<name>\w+):(?P<how>[?-])(?P<rest>[^}]*)\}", value, text)


def kubernetes(folder: Path, secrets: Mapping[str, Mapping[str, str]]) -> dict[str, Part]:
    """The containers of deploy/kubernetes/layby.yaml; `secrets` are those of the README."""
    return containers(folder, list(yaml.safe_load_all(RENDERED.read_text())), secrets)


def containers(
    folder: Path, documents: list[Any], secrets: Mapping[str, Mapping[str, str]]
) -> dict[str, Part]:
    """The containers of these manifests, with the files of the server as the README has them."""
    files = {path.name: path.read_text() for path in SERVER_FILES}
    stores: dict[tuple[str, str], dict[str, str]] = {("configMap", "nats"): files}
    stores |= {("secret", name): dict(found) for name, found in secrets.items()}
    found: dict[str, Part] = {}
    for pod in filter(None, map(pod_of, documents)):
        [container] = pod["containers"]
        part = _container(folder, pod, container, stores)
        found[part.name] = part
    return found


def _container(folder: Path, pod: Any, container: Any, stores: Any) -> Part:
    name: str = container["name"]
    mounts: dict[str, Path] = {}
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    for mount in container.get("volumeMounts", []):
        inside = mount["mountPath"]
        mounts[inside] = _made(folder / name / inside[1:])
        for file, text in _held(volumes.get(mount["name"], {}), stores).items():
            (mounts[inside] / file).write_text(text)
    environ: dict[str, str] = {}
    for source in container.get("envFrom", []):
        environ |= stores["secret", source["secretRef"]["name"]]
    for variable in container.get("env", []):
        value = _value(variable, name, stores)
        if value is not None:
            environ[variable["name"]] = value
    words = [*container.get("command", []), *container.get("args", [])]
    words = [re.sub(r"\$\((\w+)\)", lambda match: environ[match[1]], word) for word in words]
    return Part(name=name, arguments=tuple(words), environ=environ, mounts=mounts)


def _held(volume: Any, stores: Any) -> dict[str, str]:
    """The files of a volume; one that is claimed, or empty, has none."""
    for kind, key in (("configMap", "name"), ("secret", "secretName")):
        if kind in volume:
            store = stores[kind, volume[kind][key]]
            items = volume[kind].get("items", [{"key": each, "path": each} for each in store])
            return {item["path"]: store[item["key"]] for item in items}
    return {}


def _value(variable: Any, name: str, stores: Any) -> str | None:
    if "value" in variable:
        return str(variable["value"])
    source = variable["valueFrom"]
    if "fieldRef" in source:
        assert source["fieldRef"]["fieldPath"] == "metadata.name"
        return f"{name}-0"
    wanted = source["secretKeyRef"]
    store: dict[str, str] = stores.get(("secret", wanted["name"]), {})
    assert wanted["key"] in store or wanted.get("optional"), wanted
    return store.get(wanted["key"])


def _copied(source: Path, to: Path) -> Path:
    to.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, to)
    else:
        shutil.copy(source, to)
    return to


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
