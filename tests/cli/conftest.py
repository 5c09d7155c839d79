"""The command line in this process, on both engines; every test gets an installation folder or a tenant of its own."""

import itertools
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typer.testing import CliRunner

from authz.cli import app
from tests.support.postgres import URL_VARIABLE, scratch_database

ISSUER = "https://authz.example"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Shown:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@dataclass
class Cli:
    """`authz` with a configuration file, and perhaps a tenant."""

    config: Path
    tenant: str | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments, stdin=None, code=0):
        """Run a command and insist on its exit code."""
        options = ["--config", str(self.config)]
        if self.tenant is not None:
            options += ["--tenant", self.tenant]
        # `serve` tells its workers by way of the environment, which is the next test's as well.
        before = dict(os.environ)
        try:
            result = CliRunner().invoke(
                app,
                [*map(str, arguments), *options],
                input=stdin,
                env={**dict.fromkeys(_inherited()), **self.environment},
            )
        finally:
            os.environ.clear()
            os.environ.update(before)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return Shown(result.exit_code, result.stdout, result.stderr)

    def json(self, *arguments, **given):
        """The value of a command."""
        return self.run(*arguments, "--json", **given).json


def _inherited():
    return [name for name in os.environ if name.startswith("AUTHZ_")]


@pytest.fixture(scope="session", params=("sqlite", "postgresql"))
def new_database(request):
    """Makes the URL of an empty database."""
    if request.param == "sqlite":
        yield lambda name: "sqlite:///authz.db"
        return
    if URL_VARIABLE not in os.environ:
        pytest.fail(
            f"{URL_VARIABLE} is not set; run `python tests/support/postgres.py run -- pytest …`"
        )
    worker = getattr(request.config, "workerinput", {}).get("workerid", "main")
    opened = []

    def make(name):
        context = scratch_database(os.environ[URL_VARIABLE], f"authz_cli_{name}_{worker}")
        opened.append(context)
        return context.__enter__()

    yield make
    for context in opened:
        context.__exit__(None, None, None)


@pytest.fixture(scope="session")
def installation(new_database, tmp_path_factory):
    """Files and tables, with the default tenant."""
    cli = Cli(tmp_path_factory.mktemp("installation") / "authz.toml")
    cli.run("init", "--issuer", ISSUER, "--database", new_database("shared"))
    cli.run("db", "upgrade")
    return cli


@pytest.fixture
def cli(installation):
    """A tenant of its own in the installation."""
    slug = f"t{next(_numbers)}"
    installation.run("tenants", "add", slug)
    return Cli(installation.config, slug)


@pytest.fixture
def empty(new_database, tmp_path):
    """Files, but no tables."""
    made = Cli(tmp_path / "authz.toml")
    made.run("init", "--issuer", ISSUER, "--database", new_database(f"empty{next(_numbers)}"))
    return made
