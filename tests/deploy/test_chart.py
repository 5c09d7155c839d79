"""The Helm chart: what it makes of its values, as rendered by us everywhere and by Helm where it is at hand."""

import json
import re
from ipaddress import ip_network
from pathlib import Path

import httpx2
import jsonschema
import pytest
import yaml

from authz import __version__
from authz.cli.db import app as db_commands
from authz.settings import Settings, load
from tests.docs.written import DOCS, blocks
from tests.support.go_templates import Chart, Refused, merged
from tests.support.helm import documents, found

FOLDER = Path(__file__).parents[2] / "deploy/helm/mcp-authz"
CHART = Chart(FOLDER)
DATABASE = {"podSelector": {"matchLabels": {"app": "postgres"}}}
LEAST = {
    "settings": {
        "server": {"issuer": "https://auth.example.com"},
        "database": {"url": "postgresql://authz@db/authz"},
    },
    "secrets": {"existing": "authz"},
    "networkPolicy": {"database": {"to": [DATABASE]}},
}
MOST = merged(
    LEAST,
    {
        "settings": {
            "server": {"workers": 2, "drain": 20, "trusted_proxies": ["10.0.0.7", "10.0.0.8"]},
            "keys": {"rotate_after": 7776000},
            "secrets": {"allowed": ["file:/run/secrets/connections/"]},
            "telemetry": {"metrics_networks": ["10.0.0.0/8"], "traces_ratio": 0.25},
            "vault": {"address": "https://vault:8200", "auth": "kubernetes", "role": "authz"},
        },
        "config": '[[client]]\nid = "cli"\nname = "CLI"\n',
        "image": {"digest": "sha256:" + "0" * 64, "pullSecrets": ["pull"]},
        "secrets": {"further": ["connections"]},
        "serviceAccount": {"annotations": {"role": "authz"}, "tokenAudience": "vault"},
        "autoscaling": {"enabled": False},
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "annotations": {"a": "b"},
            "tlsSecret": "t",
        },
        "networkPolicy": {
            "identityProviders": {"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]},
            "further": [
                {"to": [{"ipBlock": {"cidr": "198.51.100.7/32"}}], "ports": [{"port": 8200}]}
            ],
        },
        "service": {"annotations": {"a": "b"}},
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "podAnnotations": {"a": "b"},
        "podLabels": {"team": "identity"},
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "identity", "operator": "Exists"}],
        "priorityClassName": "high",
    },
)
LITTLE = merged(
    LEAST,
    {
        "fullnameOverride": "issuer",
        "migration": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "serviceAccount": {"create": False},
        "disruptionBudget": {"enabled": False},
        "spread": [],
    },
)
CASES = {"least": LEAST, "most": MOST, "little": LITTLE}


def render(values):
    """By kind and name."""
    made = documents(CHART.render(values))
    return {(it["kind"], it["metadata"]["name"].removeprefix("authz-mcp-authz")): it for it in made}


def pods(objects):
    return {
        it["kind"]: it["spec"]["template"]["spec"]
        for it in objects.values()
        if it["kind"] in ("Deployment", "Job")
    }


def walked(value, path=()):
    """Every leaf with the way to it."""
    if isinstance(value, dict) and value:
        for name, member in value.items():
            yield from walked(member, (*path, name))
    else:
        yield path, value


def test_the_chart_is_well_formed_and_helm_has_nothing_to_complain_about():
    jsonschema.Draft7Validator.check_schema(CHART.schema)
    jsonschema.validate(CHART.values, CHART.schema)
    assert CHART.about["apiVersion"] == "v2"
    assert CHART.about["version"] == CHART.about["appVersion"] == __version__
    assert [complaint for helm in found(FOLDER) for complaint in helm.lint()] == []


@pytest.mark.parametrize("values", CASES.values(), ids=CASES)
def test_what_it_renders_are_objects_and_those_that_helm_renders(values):
    jsonschema.validate(merged(CHART.values, values), CHART.schema)
    made = documents(CHART.render(values))
    names = [(it["kind"], it["metadata"]["name"]) for it in made]
    assert len(names) == len(set(names))
    assert all(it["apiVersion"] and it["metadata"]["labels"] for it in made)
    for helm in found(FOLDER):
        assert helm.render(values) == made


def test_every_value_is_documented_constrained_and_used():
    text = "".join(CHART.sources.values())
    used = {tuple(it.split(".")) for it in re.findall(r"\.Values\.([\w.]+)", text)}
    known = [path for path, _ in walked(CHART.values)]
    for path in used:
        if path[0] == "settings" and path[1:]:
            assert path[1] in Settings.model_fields
            continue
        assert any(it[: len(path)] == path for it in known), path
    for path in known:
        assert any(path[: len(it)] == it for it in used), f"{path} is not used"
    top = CHART.schema["properties"]
    assert top.keys() - {"global"} == CHART.values.keys()
    for name in CHART.values.keys() - {"settings"}:
        if "properties" in top[name] and isinstance(CHART.values[name], dict):
            assert top[name]["properties"].keys() == CHART.values[name].keys(), name
            assert top[name]["additionalProperties"] is False


@pytest.mark.parametrize("values", CASES.values(), ids=CASES)
def test_a_pod_may_do_nothing_but_serve(values):
    for kind, pod in pods(render(values)).items():
        context, (container,) = pod["securityContext"], pod["containers"]
        assert context["runAsNonRoot"] is True, kind
        assert context["runAsUser"] == context["runAsGroup"] == context["fsGroup"] == 10001
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"].keys() == {"requests", "limits"}
        assert pod["automountServiceAccountToken"] is pod["enableServiceLinks"] is False
        writable = [it["mountPath"] for it in container["volumeMounts"] if not it.get("readOnly")]
        assert writable == ["/tmp", "/var/lib/authz"]
        mounted = {it["name"] for it in container["volumeMounts"]}
        assert mounted == {it["name"] for it in pod["volumes"]}


@pytest.mark.parametrize("values", CASES.values(), ids=CASES)
def test_the_environment_is_one_the_server_starts_with(values, tmp_path):
    """In the names that the settings have, and with what was meant: a number is no float."""
    objects = render(values)
    config = [it for it in objects.values() if it["kind"] == "ConfigMap"]
    environments = [it["data"] for it in config if "authz.toml" not in it["data"]]
    assert all(it == environments[0] for it in environments)
    environment = dict(environments[0])
    file = environment.pop("AUTHZ_CONFIG", None)
    assert (file == "/etc/authz/authz.toml") == bool(values.get("config"))
    if file:
        (tmp_path / "authz.toml").write_text(values["config"])
    settings = load(tmp_path / "authz.toml" if file else None, environment=environment)
    assert settings.server.issuer == "https://auth.example.com"
    assert settings.keys.rotate_after.total_seconds() == 7776000
    assert settings.secrets.strict
    if values is MOST:
        assert settings.server.trusted_proxies == ("10.0.0.7", "10.0.0.8")
        assert settings.telemetry.metrics_networks == (ip_network("10.0.0.0/8"),)
        assert settings.telemetry.traces_ratio == 0.25
        assert [it.id for it in settings.client] == ["cli"]
    names = {it["metadata"]["name"] for it in config}
    for pod in pods(objects).values():
        (container,) = pod["containers"]
        assert container["envFrom"][0]["configMapRef"]["name"] in names
        assert "env" not in container


def test_secrets_are_files_of_secrets_that_exist():
    objects = render(MOST)
    assert "Secret" not in {kind for kind, _ in objects}
    environment = objects["ConfigMap", ""]["data"]
    for pod in pods(objects).values():
        volumes = {it["name"]: it for it in pod["volumes"]}
        files = {
            it["mountPath"]: volumes[it["name"]]["secret"]["secretName"]
            for it in pod["containers"][0]["volumeMounts"]
            if "secret" in volumes[it["name"]]
        }
        assert files == {"/run/secrets/authz": "authz", "/run/secrets/connections": "connections"}
        for name in ("KEYS__ENCRYPTION_KEY", "DATABASE__PASSWORD"):
            scheme, _, path = environment[f"AUTHZ__{name}"].partition(":")
            assert scheme == "file"
            assert str(Path(path).parent) in files


def test_a_token_of_kubernetes_is_there_for_vault_alone():
    for pod in pods(render(LEAST)).values():
        assert "projected" not in str(pod["volumes"])
    objects = render(MOST)
    for pod in pods(objects).values():
        (token,) = [it for it in pod["volumes"] if it["name"] == "token"]
        (source,) = token["projected"]["sources"]
        assert source["serviceAccountToken"]["audience"] == "vault"
        (mount,) = [it for it in pod["containers"][0]["volumeMounts"] if it["name"] == "token"]
        path = f"{mount['mountPath']}/{source['serviceAccountToken']['path']}"
        environment = objects["ConfigMap", ""]["data"]
        vault = load(
            None, environment={it: environment[it] for it in environment.keys() - {"AUTHZ_CONFIG"}}
        ).vault
        assert vault is not None
        assert vault.jwt == f"file:{path}"
    for (kind, _), account in objects.items():
        assert kind != "ServiceAccount" or account["automountServiceAccountToken"] is False


def test_probes_ask_what_the_server_answers(server):
    (container,) = pods(render(LEAST))["Deployment"]["containers"]
    probes = {name: it["httpGet"] for name, it in container.items() if name.endswith("Probe")}
    assert {name: it["path"] for name, it in probes.items()} == {
        "startupProbe": "/health/startup",
        "livenessProbe": "/health/live",
        "readinessProbe": "/health/ready",
    }
    (port,) = container["ports"]
    for asked in probes.values():
        assert asked["port"] == port["name"]
        assert httpx2.get(server.base + asked["path"]).status_code == 200
    assert port["containerPort"] == 8080


@pytest.mark.parametrize("values", [LEAST, MOST], ids=["drain5", "drain20"])
def test_a_pod_is_given_the_time_to_drain(values):
    pod = pods(render(values))["Deployment"]
    drain = merged(CHART.values, values)["settings"]["server"]["drain"]
    # docs/operate.md: 40 seconds for a drain of 5.
    assert pod["terminationGracePeriodSeconds"] == drain + 35
    ready = pod["containers"][0]["readinessProbe"]
    assert ready["periodSeconds"] * ready["failureThreshold"] < drain


def test_what_the_network_lets_through_is_listed():
    objects = render(MOST)
    policies = {name: it["spec"] for (kind, name), it in objects.items() if kind == "NetworkPolicy"}
    assert policies.keys() == {"", "-migrate"}
    for policy in policies.values():
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        # A rule that names nobody names everybody.
        assert all(it["to"] and it["ports"] for it in policy["egress"])
        ports = [[it["port"] for it in rule["ports"]] for rule in policy["egress"]]
        assert ports == [[5432], [53, 53], [443], [8200]]
        assert policy["egress"][0]["to"] == [DATABASE]
    assert "ingress" not in policies["-migrate"]
    (let_in,) = policies[""]["ingress"]
    assert let_in["from"]
    assert let_in["ports"] == [{"protocol": "TCP", "port": "http"}]
    closed = render(merged(LEAST, {"networkPolicy": {"from": [], "dns": {"to": []}}}))
    assert "ingress" not in closed["NetworkPolicy", ""]["spec"]
    assert len(closed["NetworkPolicy", ""]["spec"]["egress"]) == 1


def test_the_policies_and_the_service_mean_the_pods_they_are_for():
    objects = render(MOST)
    labels = {
        it["kind"]: it["spec"]["template"]["metadata"]["labels"].items()
        for it in objects.values()
        if it["kind"] in ("Deployment", "Job")
    }
    selectors = {
        "Service": objects["Service", ""]["spec"]["selector"],
        "budget": objects["PodDisruptionBudget", ""]["spec"]["selector"]["matchLabels"],
        "policy": objects["NetworkPolicy", ""]["spec"]["podSelector"]["matchLabels"],
        "deployment": objects["Deployment", ""]["spec"]["selector"]["matchLabels"],
    }
    for name, selector in selectors.items():
        assert selector.items() <= labels["Deployment"], name
        assert not selector.items() <= labels["Job"], name
    migrating = objects["NetworkPolicy", "-migrate"]["spec"]["podSelector"]["matchLabels"]
    assert migrating.items() <= labels["Job"]
    monitored = objects["ServiceMonitor", ""]["spec"]["selector"]["matchLabels"]
    assert monitored.items() <= objects["Service", ""]["metadata"]["labels"].items()


@pytest.mark.parametrize("values", [LEAST, MOST], ids=["least", "most"])
def test_the_migration_runs_before_the_rest_with_what_only_it_has(values):
    objects = render(values)
    job = objects["Job", "-migrate"]
    hooks = {
        it["metadata"]["name"]: int(it["metadata"]["annotations"]["helm.sh/hook-weight"])
        for it in objects.values()
        if it["metadata"].get("annotations", {}).get("helm.sh/hook") == "pre-install,pre-upgrade"
    }
    pod = job["spec"]["template"]["spec"]
    assert pod["containers"][0]["args"] == ["db", "upgrade"]
    assert "upgrade" in {it.name for it in db_commands.registered_commands}
    config = pod["containers"][0]["envFrom"][0]["configMapRef"]["name"]
    files = [it["configMap"]["name"] for it in pod["volumes"] if "configMap" in it]
    needed = {config, *files, pod["serviceAccountName"]}
    # Before an installation nothing of the release is there, so the job may only need hooks.
    assert all(hooks[name] <= hooks[job["metadata"]["name"]] for name in needed)
    (server,) = [it for it in objects.values() if it["kind"] == "Deployment"]
    assert (
        server["spec"]["template"]["spec"]["containers"][0]["image"]
        == pod["containers"][0]["image"]
    )


def test_an_autoscaler_counts_replicas_or_the_deployment_does():
    scaled, fixed = render(LEAST), render(MOST)
    assert "replicas" not in scaled["Deployment", ""]["spec"]
    scaler = scaled["HorizontalPodAutoscaler", ""]["spec"]
    assert scaler["scaleTargetRef"]["name"] == "authz-mcp-authz"
    assert 2 <= scaler["minReplicas"] < scaler["maxReplicas"]
    assert fixed["Deployment", ""]["spec"]["replicas"] == 2
    assert ("HorizontalPodAutoscaler", "") not in fixed
    assert scaled["PodDisruptionBudget", ""]["spec"]["maxUnavailable"] == 1


REFUSED = {
    "no issuer": ({"settings": {"server": {"issuer": ""}}}, "settings.server.issuer"),
    "no database": ({"settings": {"database": {"url": ""}}}, "settings.database.url"),
    "no secret": ({"secrets": {"existing": ""}}, "secrets.existing"),
    "no way to the database": (
        {"networkPolicy": {"database": {"to": []}}},
        "networkPolicy.database.to",
    ),
    "nobody may scrape": (
        {"serviceMonitor": {"enabled": True}},
        "settings.telemetry.metrics_networks",
    ),
    "probed too seldom": ({"readiness": {"periodSeconds": 5}}, "settings.server.drain"),
}


@pytest.mark.parametrize(("values", "named"), REFUSED.values(), ids=REFUSED)
def test_what_has_to_be_said_is_asked_for_by_name(values, named):
    values = merged(LEAST, values)
    with pytest.raises(Refused, match=re.escape(named)):
        CHART.render(values)
    for helm in found(FOLDER):
        with pytest.raises(Refused, match=re.escape(named)):
            helm.render(values)


WRONG = {
    "literal password": {"settings": {"database": {"password": "hunter2"}}},
    "password in url": {"settings": {"database": {"url": "postgresql://authz:x@db/authz"}}},
    "key in the environment": {"settings": {"keys": {"encryption_key": "env:KEY"}}},
    "sqlite": {"settings": {"database": {"url": "sqlite:///authz.db"}}},
    "plain http": {"settings": {"server": {"issuer": "http://auth.example.com"}}},
    "development": {"settings": {"server": {"development": True}}},
    "table": {"settings": {"secrets": {"tenants": {"a": ["b"]}}}},
    "misspelt": {"ingres": {"enabled": True}},
    "misspelt member": {"image": {"tags": "1"}},
    "everybody": {"networkPolicy": {"from": [{}]}},
    "rule for everybody": {"networkPolicy": {"further": [{"ports": [{"port": 443}]}]}},
    "mount over the first": {"secrets": {"further": ["authz"]}},
}


@pytest.mark.parametrize("values", WRONG.values(), ids=WRONG)
def test_the_schema_refuses(values):
    values = merged(LEAST, values)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(merged(CHART.values, values), CHART.schema)
    for helm in found(FOLDER):
        with pytest.raises(Refused):
            helm.render(values)


def test_the_values_that_the_documents_show_are_enough():
    shown = [
        it.text for it in blocks(DOCS / "deploy.md") if it.file in ("values.yaml", "internet.yaml")
    ]
    first, second = map(yaml.safe_load, shown)
    jsonschema.validate(merged(CHART.values, first), CHART.schema)
    (rule,) = second["networkPolicy"]["further"]
    assert rule in render(merged(first, second))["NetworkPolicy", ""]["spec"]["egress"]


def test_no_file_names_a_registry():
    for file in FOLDER.rglob("*.*"):
        if file.is_file():
            assert not re.search(
                r"\b(?:image|repository): [\"']?[^/\s\"']*[.:][^/\s]*/", file.read_text()
            )
    assert "/" not in CHART.values["image"]["repository"]
    assert json.dumps(yaml.safe_load((FOLDER / "Chart.yaml").read_text())).count("://") == 0
