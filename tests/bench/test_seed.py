"""scripts/seed: an installation filled in bulk is one that the server itself could have filled."""

from types import SimpleNamespace

import pytest
from sqlalchemy import func, select

from authz.admin import audit, explain
from authz.admin.operator import Operator, load_tenant
from authz.cli.db import create_default_tenant
from authz.cli.run import Run
from authz.db import migrate, models
from authz.directory import groups
from authz.envelope import new_encoded_key
from scripts.seed_parts import __main__ as program
from scripts.seed_parts import sizes
from tests.support.databases import fresh_url

WORDS = ["--users", "300", "--mappings", "60", "--servers", "20", "--events", "500"]


def config_of(folder, url):
    (folder / "authz.key").write_bytes(new_encoded_key())
    config = folder / "authz.toml"
    config.write_text(
        f'[server]\nissuer = "https://authz.example"\n[database]\nurl = "{url}"\n'
        '[keys]\nencryption_key = "file:authz.key"\n'
    )
    return config


@pytest.fixture(scope="module")
def seeded(engine, worker, tmp_path_factory):
    folder = tmp_path_factory.mktemp("seed")
    with fresh_url(engine, folder, f"authz_seed_{worker}") as url:
        run = Run(config_of(folder, url), "default", as_json=False)
        with run.stack:
            migrate.upgrade(run.services.database)
            create_default_tenant(run)
            status = program.main(["--config", str(run.config), *WORDS, "--grants", "90"])
            assert status == 0
            services = run.services
            with services.database.read() as tx:
                tenant_id = load_tenant(tx, "default").id
                operator = Operator.local("test", services.clock(), services.envelope)
                configuration = services.configurations.load(tx, tenant_id)
                yield SimpleNamespace(
                    tx=tx,
                    tenant_id=tenant_id,
                    operator=operator,
                    configuration=configuration,
                    config=run.config,
                )


def test_there_is_as_much_of_everything_as_was_asked_for(seeded):
    counts = {
        table: seeded.tx.scalar(select(func.count()).select_from(table))
        for table in (
            *(models.User, models.GroupMapping, models.Resource),
            *(models.TokenFamily, models.IssuedToken, models.Group),
        )
    }
    assert list(counts.values()) == [300, 60, 20, 90, 90, 60]
    events = seeded.tx.scalar(
        select(func.count()).where(models.AuditEvent.strand.startswith("lane_"))
    )
    assert events == 500


def test_the_trail_holds(seeded):
    found = audit.verify(seeded.tx, seeded.operator, seeded.tenant_id)
    assert found.fault is None
    assert (found.strands, found.events > 500) == (2, True)


def test_what_was_granted_is_what_policy_grants(seeded):
    policy = seeded.configuration.policy
    families = seeded.tx.scalars(select(models.TokenFamily)).all()
    for family in families:
        resource = policy.resources[family.resource_id]
        roles = [
            policy.roles[held.role_id]
            for name in groups.names_of(seeded.tx, seeded.tenant_id, family.user_id)
            for id_, shown in policy.groups.items()
            if shown == name
            for held in policy.group_roles[id_]
        ]
        for scope in family.scopes:
            assert scope in resource.scopes
            assert any(("*", scope) in role.grants for role in roles)


def test_a_token_of_it_is_explained_out_of_the_trail(seeded):
    jti = seeded.tx.scalars(
        select(models.IssuedToken.jti).order_by(models.IssuedToken.issued_at.desc()).limit(1)
    ).one()
    told = explain.explain(seeded.tx, seeded.tenant_id, jti, seeded.operator.now)
    assert told.valid
    assert told.recorded is not None
    assert set(told.granted.values()) == {told.granted[min(told.granted)]}


def test_nothing_is_seeded_twice(seeded, capsys):
    before = seeded.tx.scalar(select(func.count()).select_from(models.User))
    assert program.main(["--config", str(seeded.config), *WORDS]) == 1
    assert "filled already" in capsys.readouterr().err
    assert seeded.tx.scalar(select(func.count()).select_from(models.User)) == before


def test_large_is_what_the_figures_are_about():
    assert sizes.read(["--large"]).sizes == sizes.Sizes(
        users=100_000, mappings=1_000, servers=200, events=1_000_000, grants=10_000
    )
    assert sizes.read(["--large", "--users", "5"]).sizes.users == 5


@pytest.mark.parametrize("words", [["--users", "0"], ["--users", "x"], ["--events", "5"]])
def test_sizes_are_numbers_that_go_together(words, capsys):
    with pytest.raises(SystemExit):
        sizes.read(words)
    assert words[0] in capsys.readouterr().err


def test_an_installation_that_is_not_set_up_is_said(tmp_path, capsys):
    config = config_of(tmp_path, f"sqlite:///{tmp_path / 'own.db'}")
    assert program.main(["--config", str(config)]) == 1
    assert "authz db upgrade" in capsys.readouterr().err
