"""The dependency rules of the code, checked by reading every import under `authz/`.

The tables at the top are the rules. A new package takes one line in LAYERS; an exception takes
one line where it belongs, with its reason.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# A module may import the layers below its own, never its own or one above.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset(
        {
            "errors",
            "clock",
            "entropy",
            "urls",
            "transactions",
            "progress",
            "resource_server",
            "values",
        }
    ),
    frozenset(
        {
            "envelope",
            "settings",
            "jose",
            "passwords",
            "telemetry",
            "db",
            "net",
            "secretstores",
            "sections",
            "tenants",
        }
    ),
    frozenset({"audit", "keys", "limits", "revocations"}),
    frozenset({"clients", "directory", "policy"}),
    frozenset({"oauth", "federation", "scim", "admin", "doctor", "lab"}),
    frozenset({"services"}),  # the composition root: layers 5 to 8 alone see `Services`
    frozenset({"web", "jobs", "installation"}),
    frozenset({"app"}),
    frozenset({"cli", "__main__"}),
)

PARTS: frozenset[str] = frozenset().union(*LAYERS)

# Imports inside one layer that are meant.
NEIGHBOURS: frozenset[tuple[str, str]] = frozenset(
    {
        ("tenants", "db"),  # a tenant is a row
        ("db", "telemetry"),  # batches are traced
        ("net", "telemetry"),  # and so are fetches
        ("secretstores", "net"),  # some stores are reached over HTTP
        ("secretstores", "jose"),  # one of them takes a signed assertion
        ("secretstores", "sections"),  # theirs
        ("secretstores", "telemetry"),
        ("sections", "secretstores"),  # what a reference may begin with
        ("settings", "sections"),
        ("settings", "secretstores"),
        ("policy", "directory"),
        ("policy", "clients"),
        ("admin", "oauth"),  # operations on their state
        ("admin", "federation"),
        ("admin", "scim"),
    }
)

# Packages that import nothing else of authz: they are used outside of this server.
ALONE: frozenset[str] = frozenset({"resource_server"})

# Packages that import these parts alone: the lab judges this server too, so it shares none of its decisions.
ONLY: dict[str, frozenset[str]] = {
    "lab": frozenset({"clock", "entropy", "errors", "jose", "net", "resource_server", "urls"}),
}

# Layer 0 is the standard library, but for these.
ABOVE_THE_STANDARD_LIBRARY: frozenset[str] = frozenset({"resource_server"})

# Third parties whose interface shall not spread: package -> the modules that may import it.
HOMES: dict[str, frozenset[str]] = {
    "authlib": frozenset({"federation"}),
    "boto3": frozenset({"keys.backends.aws_kms", "secretstores.aws"}),
    "botocore": frozenset({"keys.backends.aws_kms", "secretstores.aws"}),
    "fastapi": frozenset({"web", "app"}),
    "fastmcp": frozenset({"resource_server.on_fastmcp"}),
    "httpx2": frozenset({"net", "resource_server", "cli"}),
    "jinja2": frozenset({"web", "app"}),
    "joserfc": frozenset(
        {
            *("jose", "keys", "clients.metadata", "clients.authentication", "resource_server"),
            "lab",  # signs what authz.jose would rightly not
            "federation.oidc_tokens",  # authlib's readers of claims raise its errors
        }
    ),
    "lxml": frozenset({"federation.saml"}),
    "mcp": frozenset({"resource_server.on_mcp_sdk"}),
    "opentelemetry": frozenset({"telemetry.tracer"}),
    "passlib": frozenset({"passwords"}),
    "pkcs11": frozenset({"keys.backends.pkcs11"}),
    "prometheus_client": frozenset({"telemetry"}),
    "rfc3161_client": frozenset({"audit.timestamps"}),
    "scim2_models": frozenset({"scim"}),
    "signxml": frozenset({"federation.saml.signatures"}),
    "starlette": frozenset({"web", "app"}),
    "typer": frozenset({"cli"}),
}

# The same, allowed inside a function or under TYPE_CHECKING only: what a user may not have.
LAZY_HOMES: dict[str, frozenset[str]] = {"starlette": frozenset({"resource_server"})}

# Modules that need a package which a user may not have: no other module imports them at its top.
ADAPTERS: frozenset[str] = frozenset({"resource_server.on_fastmcp", "resource_server.on_mcp_sdk"})

MIN_DOCSTRING_WORDS = 8

# "authz.secretstores.env:EnvStore", the entries of the registries.
REGISTRY_ENTRY = re.compile(r"(authz(?:\.\w+)+):\w+")


@dataclass(frozen=True)
class Import:
    """One import statement: who, whom, and where it stands."""

    importer: str
    target: str
    line: int
    lazy: bool = False  # inside a function
    typing_only: bool = False  # under TYPE_CHECKING
    registered: bool = False  # a registry entry, imported by name at start

    @property
    def optional(self) -> bool:
        return self.lazy or self.typing_only


@dataclass(frozen=True)
class Tree:
    """The parsed modules of `authz/` by dotted name, and the imports between them."""

    modules: dict[str, ast.Module]
    packages: frozenset[str]
    imports: tuple[Import, ...]


def read_tree(folder: Path) -> Tree:
    modules: dict[str, ast.Module] = {}
    packages = set()
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
            packages.add(".".join(parts))
        modules[".".join(parts)] = ast.parse(path.read_text(), filename=str(path))
    # Each once, though a statement may take several names from one module.
    imports = dict.fromkeys(
        found
        for name, module in modules.items()
        for found in _imports(name, module, modules.keys() | packages)
    )
    return Tree(modules, frozenset(packages), tuple(imports))


def _imports(importer: str, module: ast.Module, known: set[str]) -> Iterator[Import]:
    def walk(node: ast.AST, lazy: bool, typing_only: bool) -> Iterator[Import]:
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield Import(importer, alias.name, node.lineno, lazy, typing_only)
            case ast.ImportFrom(module=str(source), names=names):
                for alias in names:
                    submodule = f"{source}.{alias.name}"
                    # `from authz import x` names a part of LAYERS, whether it exists or not.
                    is_module = submodule in known or (source == "authz" and alias.name in PARTS)
                    target = submodule if is_module else source
                    yield Import(importer, target, node.lineno, lazy, typing_only)
            case ast.Constant(value=str(text)) if entry := REGISTRY_ENTRY.fullmatch(text):
                yield Import(importer, entry[1], node.lineno, registered=True)
            case ast.If(test=test, body=body, orelse=orelse) if "TYPE_CHECKING" in ast.dump(test):
                for child in body:
                    yield from walk(child, lazy, True)
                for child in orelse:
                    yield from walk(child, lazy, typing_only)
                return
        inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inside, typing_only)

    return walk(module, False, False)


def _within(module: str, homes: frozenset[str]) -> bool:
    inner = module.removeprefix("authz.")
    return any(inner == home or inner.startswith(f"{home}.") for home in homes)


def _part(module: str) -> str:
    """The name that LAYERS knows: `authz.db.models.client` is part of `db`."""
    return module.split(".")[1] if "." in module else ""


def _layer(module: str) -> int | None:
    return next((n for n, parts in enumerate(LAYERS) if _part(module) in parts), None)


def layer_violations(tree: Tree) -> list[str]:
    problems = []
    for module in tree.modules:
        if _part(module) and _layer(module) is None:
            problems.append(f"{module}: belongs to no layer; add {_part(module)!r} to LAYERS")
    for found in tree.imports:
        if not found.target.startswith("authz."):
            continue
        importer, target = _part(found.importer), _part(found.target)
        where = f"{found.importer}:{found.line} imports {found.target}"
        above, below = _layer(found.importer), _layer(found.target)
        if importer == target:
            continue
        if not importer:
            problems.append(f"{where}: authz/__init__.py imports nothing of authz")
        elif importer in ALONE:
            problems.append(f"{where}: {importer} imports nothing else of authz")
        elif importer in ONLY and target not in ONLY[importer]:
            allowed = ", ".join(sorted(ONLY[importer]))
            problems.append(f"{where}: of authz, {importer} imports only {allowed}")
        elif above is None or below is None:
            continue
        elif above < below:
            problems.append(
                f"{where}: layer {above} may import lower layers only, {target} is layer {below}"
            )
        elif above == below and (importer, target) not in NEIGHBOURS:
            problems.append(
                f"{where}: both are in layer {above}, and ({importer}, {target}) is not one of "
                "the pairs in NEIGHBOURS"
            )
    return problems


def home_violations(tree: Tree) -> list[str]:
    problems = []
    for found in tree.imports:
        party = found.target.partition(".")[0]
        where = f"{found.importer}:{found.line} imports {found.target}"
        if party == "authz" and _within(found.target, ADAPTERS) and not found.optional:
            problems.append(f"{where}: an adapter is imported inside a function")
        if party == "authz" or party in sys.stdlib_module_names:
            continue
        if (party in HOMES or party in LAZY_HOMES) and not (
            _within(found.importer, HOMES.get(party, frozenset()))
            or (found.optional and _within(found.importer, LAZY_HOMES.get(party, frozenset())))
        ):
            homes = ", ".join(sorted(HOMES.get(party, ()))) or "nowhere at the top of a module"
            lazily = ", ".join(sorted(LAZY_HOMES.get(party, ())))
            also = f"; inside a function also in: {lazily}" if lazily else ""
            problems.append(f"{where}: {party} has its home in: {homes}{also}")
        if _layer(found.importer) == 0 and not _within(found.importer, ABOVE_THE_STANDARD_LIBRARY):
            problems.append(f"{where}: layer 0 imports the standard library only")
    return problems


def cycles(tree: Tree) -> list[str]:
    """Every cycle of modules once; imports for types alone and registry entries do not count."""
    edges: dict[str, set[str]] = {name: set() for name in tree.modules}
    for found in tree.imports:
        runs = not (found.typing_only or found.registered)
        if runs and found.target in edges and found.target != found.importer:
            edges[found.importer].add(found.target)
    done: set[str] = set()
    problems = []

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            problems.append(" -> ".join([*path[path.index(module) :], module]))
            return
        if module in done:
            return
        for target in sorted(edges[module]):
            visit(target, [*path, module])
        done.add(module)

    for module in sorted(edges):
        visit(module, [])
    return problems


def package_violations(tree: Tree, root: Path) -> list[str]:
    problems = []
    for package in sorted(tree.packages):
        words = (ast.get_docstring(tree.modules[package]) or "").split()
        if len(words) < MIN_DOCSTRING_WORDS:
            problems.append(f"{package}: its docstring does not say what it owns and never does")
    for module in tree.modules:
        parent = module.rpartition(".")[0]
        if parent and parent not in tree.packages:
            problems.append(f"{module}: its folder has no __init__.py")
    for path in (root / "alembic").rglob("__init__.py"):
        problems.append(f"{path.relative_to(root)}: would shadow the library of the same name")
    return problems


def unknown_registry_entries(tree: Tree) -> list[str]:
    return [
        f"{found.importer}:{found.line} names {found.target}, which does not exist"
        for found in tree.imports
        if found.registered and found.target not in tree.modules
    ]


@pytest.fixture(scope="module")
def tree() -> Tree:
    return read_tree(ROOT / "authz")


def _assert_none(problems: list[str], rule: str) -> None:
    listed = "\n  ".join(problems)
    assert not problems, f"{rule}\n  {listed}"


def test_modules_import_lower_layers_only(tree):
    _assert_none(
        layer_violations(tree), "Layers: see LAYERS, NEIGHBOURS, ALONE and ONLY in this file."
    )


def test_third_parties_stay_in_their_homes(tree):
    _assert_none(home_violations(tree), "Homes of third parties: see HOMES and LAZY_HOMES.")


def test_modules_form_no_cycles(tree):
    _assert_none(cycles(tree), "Modules that import each other:")


def test_packages_say_what_they_own(tree):
    _assert_none(package_violations(tree, ROOT), "Packages:")


def test_registry_entries_name_modules_that_exist(tree):
    _assert_none(unknown_registry_entries(tree), "Registry entries:")


def _tree_of(folder: Path, files: dict[str, str]) -> Tree:
    for name, text in files.items():
        path = folder / "authz" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return read_tree(folder / "authz")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("urls.py", "import authz.settings", "layer 0 may import lower layers only"),
        ("settings.py", "from authz import jose", "(settings, jose) is not one of the pairs"),
        ("oauth/token.py", "from authz.services import Services", "services is layer 5"),
        ("clients/client.py", "def f():\n import authz.policy", "(clients, policy) is not one"),
        ("federation/login.py", "from authz.oauth import token", "(federation, oauth) is not"),
        ("resource_server/verify.py", "from authz.urls import x", "nothing else of authz"),
        ("secretstores/a.py", "S = {'x': 'authz.web.b:B'}", "web is layer 6"),
        ("lab/bench.py", "from authz.clients import client", "lab imports only clock"),
        ("novelty.py", "", "belongs to no layer"),
        ("__init__.py", "from authz.urls import x", "imports nothing of authz"),
    ],
)
def test_a_layer_violation_is_found(tmp_path, file, text, message):
    found = layer_violations(_tree_of(tmp_path, {file: text}))
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("policy/roles.py", "from authz.directory import users\nimport authz.clients.client"),
        ("admin/users.py", "import authz.oauth.refresh"),
        ("web/oauth/token.py", "from authz.services import Services\nfrom authz.web import csrf"),
        ("cli/serve.py", "import authz.app\nimport authz.jobs"),
        ("oauth/token.py", "from authz import __version__"),
    ],
)
def test_a_permitted_import_is_not(tmp_path, file, text):
    assert layer_violations(_tree_of(tmp_path, {file: text})) == []


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("oauth/token.py", "from starlette.requests import Request", "home in: app, web"),
        ("clients/cimd.py", "import joserfc.jwk", "clients.metadata"),
        ("clients/metadata_more.py", "import joserfc.jwk", "clients.metadata"),
        ("resource_server/asgi.py", "import starlette", "inside a function also in"),
        ("resource_server/verify.py", "import mcp", "home in: resource_server.on_mcp_sdk"),
        ("resource_server/protect.py", "import authz.resource_server.on_fastmcp", "inside a func"),
        ("urls.py", "import pydantic", "standard library only"),
    ],
)
def test_a_third_party_away_from_home_is_found(tmp_path, file, text, message):
    found = home_violations(_tree_of(tmp_path, {file: text}))
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("web/oauth/token.py", "from starlette.requests import Request"),
        ("clients/metadata.py", "import joserfc.jwk"),
        ("resource_server/asgi.py", "def f():\n import starlette"),
        ("resource_server/on_mcp_sdk.py", "import mcp"),
        (
            "resource_server/mcp.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n import starlette",
        ),
    ],
)
def test_a_third_party_at_home_is_not(tmp_path, file, text):
    assert home_violations(_tree_of(tmp_path, {file: text})) == []


def test_a_cycle_is_found_once(tmp_path):
    files = {
        "db/a.py": "import authz.db.b",
        "db/b.py": "def f():\n import authz.db.c",
        "db/c.py": "from authz.db import a",
        "db/d.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n import authz.db.e",
        "db/e.py": "import authz.db.d",
    }
    assert cycles(_tree_of(tmp_path, files)) == [
        "authz.db.a -> authz.db.b -> authz.db.c -> authz.db.a"
    ]


def test_a_package_without_words_is_found(tmp_path):
    (tmp_path / "alembic").mkdir()
    (tmp_path / "alembic" / "__init__.py").touch()
    files = {"__init__.py": f'"""{"word " * 9}"""', "db/__init__.py": '"""db"""', "web/csrf.py": ""}
    found = package_violations(_tree_of(tmp_path, files), tmp_path)
    assert [problem.partition(":")[0] for problem in found] == [
        "authz.db",
        "authz.web.csrf",
        "alembic/__init__.py",
    ]


# Parts of operations, called with what the operation asked for already; what protocol requests and the trail's own
# check perform; and what calls operations by name, which ask.
WITHOUT_PERMISSION: frozenset[str] = frozenset(
    {
        "admins.guard",
        "admins.guard_ceiling",
        "admins.guard_client",
        "admins.guard_groups",
        "agents.put_to_sleep",
        "audit.verify",
        "change_trials.ahead",
        "change_trials.made",
        "changes.apply_due",
        "changes.propose",
        "changes.withdraw",
        "client_trust.cut_off_fallen",
        "clients.forget",
        "configured_clients.apply",
        "changes.foresee",
        "changes.may_foresee",
        "changes.try_again_ahead",
        "changes.try_ahead",
        "effects.measure",
        "effects.rehearse",
        "grants.end_own",
        "keys.add_first_keys",
        "keys.add_missing",
        "keys.rotate_due",
        "keys.wipe_gone",
        "leaving.end",
        "operations.perform",
        "operations.supply",
        "own.disconnect",
        "own.sign_out_elsewhere",
        "references.check_references",
        "registration.register",
        "registration.remove",
        "registration.remove_unused",
        "registration.replace",
        "reviews.expire_overdue",
        "revocation.cut_off_clients",
        "versions.record",
        "revocation.end_sessions",
        "revocation.revoke_families",
        "scope_contracts.waiting",
        "scope_contracts.waiting_anew",
        "scopes.store_scope",
        "sessions.end_own",
        "workload_access.cut_off_fallen",
    }
)


def operations() -> Iterator[tuple[str, ast.FunctionDef]]:
    for path in sorted((ROOT / "authz" / "admin").rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            if "operator" in [it.arg for it in node.args.args]:
                yield f"{path.stem}.{node.name}", node


def asks(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Call)
        and ast.unparse(statement.value.func) in ("operator.must", "operator.must_narrow")
    )


def test_every_operation_asks_for_a_permission_first():
    """V3: whoever calls it, from the console, the API or the command line. One that is about a single server may look
    up which before."""
    found = dict(operations())
    missing = [
        name
        for name, node in found.items()
        if name not in WITHOUT_PERMISSION and not any(map(asks, node.body[1:3]))
    ]
    assert missing == [], "begin with operator.must(Permission.…), see authz.admin.operator"
    assert found.keys() >= WITHOUT_PERMISSION


_LATER = (
    "authz.scim.endpoint",
    "boto3",
    "lxml",
    "opentelemetry.sdk",
    "pkcs11",
    "rfc3161_client",
    "scim2_models",
)
"""What only some installations use; it is loaded by the first who does."""


def test_a_start_loads_only_what_every_installation_uses():
    """Start-up time and memory of each process."""
    told = subprocess.run(
        [sys.executable, "-c", "import sys, authz.app; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(told.stdout.split())
    assert "authz.web.later" in loaded
    assert loaded.isdisjoint(_LATER)
