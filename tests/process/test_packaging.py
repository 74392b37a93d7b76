"""deploy/: that what is written there fits the program. What needs Docker or systemd itself is not run here."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from api import Api
from command import FREE_PORTS, archon
from harness import ROOT, archon_bin, free_port
from wire import LegacyClient, send

pytestmark = pytest.mark.timeout(180)

DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "docker/Dockerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "docker/compose.yaml").read_text())
SERVICE = (DEPLOY / "systemd/archon.service").read_text()
SOCKET = (DEPLOY / "systemd/archon.socket").read_text()
CHART = DEPLOY / "helm/archon"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
TEMPLATES = {path.name: path.read_text() for path in (CHART / "templates").iterdir()}

GATEWAYS = ["archon-a", "archon-b"]
MCP_PORT, API_PORT = 8051, 8181
# A variable in a text of compose: ${NAME}, ${NAME:-default} or ${NAME:?what to do}.
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def instructions(name: str) -> list[str]:
    """What a Dockerfile says after a word, each time."""
    text = "\n".join(line for line in DOCKERFILE.splitlines() if not line.startswith("#"))
    lines = text.replace("\\\n", " ").splitlines()
    return [line.split(maxsplit=1)[1] for line in lines if line.startswith(f"{name} ")]


def image_environment() -> dict[str, str]:
    """The variables that the image sets."""
    return dict(pair.split("=", 1) for pair in instructions("ENV"))


def settings(unit: str, name: str) -> list[str]:
    """The values of a setting in a unit of systemd."""
    return re.findall(rf"^{name}=(.*)$", unit, re.MULTILINE)


FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_variables_that_are_set_for_the_gateway_are_ones_that_it_knows(path, tmp_path):
    known = archon("serve", "--help", cwd=tmp_path).stdout + (ROOT / "docs/configuration.md").read_text()
    # Only where the variables are: a name in the balancer's address, or of what is published, is none of the gateway's.
    named = set(re.findall(r"\b(?:ARCHON_[A-Z_]+|DATABASE_URL|MCP_SESSION_SECRET)\b", path.read_text()))
    assert not {name for name in named - {"ARCHON_BIND"} if name not in known}


def test_an_installation_has_the_program_its_manual_completions_and_units(tmp_path):
    env = {**os.environ, "ARCHON_BIN": str(archon_bin()), "DESTDIR": str(tmp_path), "PREFIX": "/usr"}
    subprocess.run([str(ROOT / "scripts/install")], env=env, check=True, timeout=120)
    installed = {str(path.relative_to(tmp_path / "usr")) for path in tmp_path.rglob("*") if path.is_file()}
    assert {
        *["bin/archon", "share/man/man1/archon.1", "share/man/man1/archon-serve.1"],
        *["share/bash-completion/completions/archon", "share/zsh/site-functions/_archon"],
        *["share/fish/vendor_completions.d/archon.fish", "share/doc/archon/archon.example.toml"],
        *["lib/systemd/system/archon.service", "lib/systemd/system/archon.socket"],
    } <= installed
    service = (tmp_path / "usr/lib/systemd/system/archon.service").read_text()
    assert settings(service, "ExecStart") == ["/usr/bin/archon serve"]
    version = subprocess.check_output([str(tmp_path / "usr/bin/archon"), "--version"], text=True)
    assert version.startswith("archon ")


# Docker


def test_the_image_is_built_from_what_is_sent_to_the_builder():
    sent = (DEPLOY / "docker/Dockerfile.dockerignore").read_text().splitlines()
    sent = [line[1:] for line in sent if line.startswith("!")]
    assert all((ROOT / path).exists() for path in sent)
    members = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"]
    tops = {str(Path(member)).removesuffix("/*") for member in members} | {"Cargo.toml", "Cargo.lock"}
    assert tops <= set(sent), "cargo reads the manifest of each member"
    assert "dashboard/dist" in sent, "the program holds it"


def test_the_image_builds_with_a_compiler_and_a_profile_that_there_are():
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())
    [build, run] = instructions("FROM")
    version = re.fullmatch(r"rust:(\d+\.\d+)-(\w+) AS build", build)
    needed = manifest["workspace"]["package"]["rust-version"]
    assert tuple(map(int, version[1].split("."))) >= tuple(map(int, needed.split(".")))
    assert run == f"debian:{version[2]}-slim", "the same C library"
    profile = re.search(r"--profile (\w+)", DOCKERFILE)[1]
    assert profile in manifest["profile"] and f"target/{profile}/archon" in DOCKERFILE


def test_the_image_is_not_roots_and_shows_the_ports_that_it_serves():
    assert instructions("USER") == ["10001:10001"] and "--uid 10001" in DOCKERFILE
    assert instructions("EXPOSE") == [f"{MCP_PORT} {API_PORT}"]
    entrypoint, command = (json.loads(instructions(name)[0]) for name in ("ENTRYPOINT", "CMD"))
    assert [*entrypoint, *command] == ["archon", "serve"]


def test_the_image_refuses_to_listen_for_all_without_a_token(tmp_path):
    environment = image_environment()
    assert environment["ARCHON_HOST"] == "0.0.0.0"
    refused = archon("serve", "--check", cwd=tmp_path, env=environment, code=1).stderr
    assert "ARCHON_API_TOKEN" in refused
    with_token = {**environment, **FREE_PORTS, "ARCHON_API_TOKEN": "x" * 64}
    assert "good" in archon("serve", "--check", cwd=tmp_path, env=with_token).stdout


def test_the_image_tells_a_gateway_that_serves_from_one_that_does_not(start_archon):
    gateway = start_archon(env={**image_environment(), "ARCHON_API_TOKEN": "x" * 64})
    [check] = instructions("HEALTHCHECK")
    command = json.loads(check[check.index("[") :])

    def is_healthy(port: int) -> bool:
        surroundings = {**os.environ, "ARCHON_MCP_PORT": str(port)}
        return not subprocess.run(command, env=surroundings, stderr=subprocess.DEVNULL, timeout=30).returncode

    assert is_healthy(gateway.port)
    assert not is_healthy(free_port())
    gateway.kill()
    assert not is_healthy(gateway.port)


def substituted(text: str, given: dict[str, str]) -> str:
    """What compose makes of a text."""

    def value(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        assert name in given or kind == "-", f"{name} has neither a value nor a default"
        return given.get(name, rest or "")

    return VARIABLE.sub(value, text)


def test_the_gateways_of_compose_share_a_database_and_nothing_else(postgres, start_archon):
    given = {"POSTGRES_PASSWORD": "p", "ARCHON_API_TOKEN": "t" * 64}
    sessions = []
    for name in GATEWAYS:
        service = COMPOSE["services"][name]
        environment = {key: substituted(value, given) for key, value in service["environment"].items()}
        assert environment["DATABASE_URL"] == "postgres://archon:p@postgres:5432/archon"
        environment["DATABASE_URL"] = postgres.url
        # Its own name in the network of the composition.
        assert environment["ARCHON_NODE_ADDRESS"] == f"{name}:9100"
        environment["ARCHON_NODE_ADDRESS"] = "127.0.0.1:0"
        [mounted] = [volume for volume in service["volumes"] if volume.endswith(":/etc/archon/archon.toml:ro")]
        at = service["command"].index("/etc/archon/archon.toml")
        arguments = [*service["command"]]
        arguments[at] = str(DEPLOY / "docker" / mounted.split(":")[0])
        gateway = start_archon(*arguments[1:], env={**image_environment(), **environment})
        sessions.append(LegacyClient.connect(gateway.url).session)
        listed = Api(gateway.api_url).by(given["ARCHON_API_TOKEN"]).get("/sessions")["sessions"]
        assert {session["session_id"] for session in listed} == set(sessions)
    names = postgres.query("SELECT split_part(node, '#', 1) FROM archon_mcp_nodes ORDER BY 1")
    assert names == [["a"], ["b"]]


def test_compose_asks_for_what_has_no_default():
    text = (DEPLOY / "docker/compose.yaml").read_text()
    needed = {name for name, kind, _ in VARIABLE.findall(text) if kind == "?"}
    assert needed == {"POSTGRES_PASSWORD", "ARCHON_API_TOKEN"}
    [made] = re.findall(r"^#   (printf .*) > \.env$", text, re.MULTILINE)
    written = subprocess.check_output(["bash", "-c", made], text=True, timeout=60)
    values = dict(line.split("=") for line in written.splitlines())
    assert set(values) == needed and all(len(value) >= 48 for value in values.values())


def test_the_balancer_of_compose_leads_to_both_gateways_and_is_all_that_is_published():
    services = COMPOSE["services"]
    assert {name for name, service in services.items() if "ports" in service} == {"balancer"}
    published = [int(port.rpartition(":")[2]) for port in services["balancer"]["ports"]]
    assert published == [MCP_PORT, API_PORT]
    balanced = (DEPLOY / "docker/nginx.conf").read_text()
    assert [int(port) for port in re.findall(r"listen (\d+);", balanced)] == published
    groups = re.findall(r"upstream (\w+) \{(.*?)\}", balanced, re.DOTALL)
    assert re.findall(r"proxy_pass http://(\w+);", balanced) == [name for name, _ in groups]
    for port, (_, servers) in zip(published, groups, strict=True):
        named = re.findall(r"server (\S+) ", servers)
        assert named == [f"{gateway}:{port}" for gateway in GATEWAYS]
    assert all(name in services["balancer"]["depends_on"] for name in GATEWAYS)


# Kubernetes


def properties(schema: dict[str, Any]) -> dict[str, Any]:
    """What a schema allows, in the form of values."""
    inner = schema.get("properties")
    return {name: properties(of) for name, of in inner.items()} if inner else {}


def names(values: Any, allowed: dict[str, Any]) -> dict[str, Any]:
    """The names in values, as deep as a schema goes."""
    return {name: names(values[name], of) for name, of in allowed.items() if name in values}


def test_the_charts_values_are_those_of_its_schema():
    jsonschema.validate(VALUES, SCHEMA)
    allowed = properties(SCHEMA)
    assert allowed.pop("global") == {}  # What charts around this one share.
    assert set(VALUES) == set(allowed) and names(VALUES, allowed) == allowed


@pytest.mark.parametrize(
    "mistake",
    [
        {"replica": 2},
        {"replicas": 0},
        {"allowedHosts": ["https://mcp.example"]},
        {"database": {"url": "mysql://a/b"}},
        {"api": {"token": "short"}},
        {"ingress": {"enabled": True}},
        {"service": {"mcpPort": 0}},
        {"logFormat": "xml"},
    ],
    ids=json.dumps,
)
def test_the_charts_schema_refuses_mistakes(mistake):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(mistake, SCHEMA)


def test_the_charts_templates_ask_for_values_that_there_are():
    asked = {path for text in TEMPLATES.values() for path in re.findall(r"\.Values\.([\w.]+)", text)}
    assert asked
    for path in asked:
        value = VALUES
        for name in path.split("."):
            assert name in value, path
            value = value[name]


def test_the_charts_gateway_starts_with_what_it_is_given(tmp_path):
    template = TEMPLATES["statefulset.yaml"]
    (tmp_path / "archon.toml").write_text(VALUES["config"])
    args = json.loads(re.search(r"args: (\[.*\])", template)[1])
    args[args.index("/etc/archon/archon.toml")] = str(tmp_path / "archon.toml")
    given = re.findall(r"- name: ([A-Z_]+)$", template, re.MULTILINE)
    env = {"ARCHON_HOST": "0.0.0.0", "ARCHON_ALLOWED_HOSTS": "10.0.0.7,archon", "ARCHON_API_TOKEN": "x" * 64}
    env |= {"ARCHON_LOG_FORMAT": VALUES["logFormat"], "ARCHON_DB": str(tmp_path / "archon.db")}
    other = {"POD_IP", "ARCHON_NODE", "ARCHON_NODE_ADDRESS", "DATABASE_URL"}  # Kubernetes' own, and those of a shared database.
    assert set(given) == set(env) | other
    assert "good" in archon(*args, "--check", cwd=tmp_path, env=env | FREE_PORTS).stdout


def test_the_charts_probes_are_let_in_and_its_user_is_the_images(start_archon):
    template = TEMPLATES["statefulset.yaml"]
    ports = re.findall(r"- name: (\w+)\n +containerPort: (\d+)", template)
    # The last one is for other pods.
    assert ports == [("mcp", str(MCP_PORT)), ("api", str(API_PORT)), ("nodes", "9100")]
    assert 'value: "$(POD_IP):9100"' in template
    gateway = start_archon(env={**image_environment(), "ARCHON_API_TOKEN": "x" * 64})
    [path] = re.findall(r"^ +path: (\S+)$", template, re.MULTILINE)
    [host] = re.findall(r"- name: Host\n +value: (\S+)", template)
    url = f"http://127.0.0.1:{gateway.port}{path}"
    assert send(url, "GET", headers={"Host": host}).status == 200
    # As the kubelet would ask without it: by the pod's address.
    assert send(url, "GET", headers={"Host": "10.0.0.7:8051"}).status == 403
    [user] = instructions("USER")
    assert re.findall(r"runAs(?:User|Group): (\d+)", template) == user.split(":")


# systemd


def test_the_service_starts_with_what_it_says(tmp_path):
    [start] = settings(SERVICE, "ExecStart")
    [again] = settings(SERVICE, "ExecReload")
    assert start == "/usr/local/bin/archon serve"
    assert again == "/usr/local/bin/archon upgrade --pid $MAINPID"
    environment = dict(pair.split("=", 1) for pair in settings(SERVICE, "Environment"))
    [state] = settings(SERVICE, "StateDirectory")
    assert environment["ARCHON_DB"].startswith(f"/var/lib/{state}/")
    assert settings(SERVICE, "WorkingDirectory") == [f"/var/lib/{state}"]
    # As it is there, with a configuration that is here.
    environment["ARCHON_CONFIG"] = str(ROOT / "archon.example.toml")
    checked = archon("serve", "--check", cwd=tmp_path, env=environment | FREE_PORTS)
    assert "good" in checked.stdout
    # It knows these options, and there is no such process.
    refused = archon("upgrade", "--pid", str(2**22 + 1), cwd=tmp_path, env=environment, code=1)
    assert str(2**22 + 1) in refused.stderr


def test_the_sockets_are_the_gateways_own_in_the_order_that_it_takes_them():
    assert settings(SOCKET, "ListenStream") == [f"127.0.0.1:{MCP_PORT}", f"127.0.0.1:{API_PORT}"]
    assert settings(SERVICE, "Requires") == ["archon.socket"]
    assert settings(SERVICE, "Also") == ["archon.socket"]


def test_the_service_gives_calls_their_time_and_leaves_children_to_the_gateway():
    assert settings(SERVICE, "Type") == ["notify"] and settings(SERVICE, "KillMode") == ["mixed"]
    assert int(settings(SERVICE, "TimeoutStopSec")[0]) > 20


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_understands_the_units(tmp_path):
    for name, text in {"archon.service": SERVICE, "archon.socket": SOCKET}.items():
        # It looks for the program as well.
        (tmp_path / name).write_text(text.replace("/usr/local/bin/archon", str(archon_bin())))
    command = ["systemd-analyze", "verify", "--man=no", "./archon.service", "./archon.socket"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
