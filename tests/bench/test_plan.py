"""scripts/bench: what the command line makes of itself."""

import pytest

from scripts.bench_parts.machine import BenchError
from scripts.bench_parts.plan import LOADS, Kind, arguments, plan_of, profile_plan


def plan(*words):
    return plan_of(arguments(list(words)))


def test_without_a_word_everything_is_measured():
    made = plan()
    assert made.loads == LOADS
    assert (made.connections, made.workers) == ((1, 16, 64), (1, 2))
    assert made.stored == (10_000, 1_000_000)
    assert [(it.engine, it.workers) for it in made.kinds(with_peer=False)][:3] == [
        ("postgresql", 1),
        ("postgresql", 2),
        ("sqlite", 1),
    ]


def test_the_peer_runs_at_every_size_as_one_process():
    kinds = list(plan().kinds(with_peer=True))
    assert [(it.workers, it.stored) for it in kinds if it.is_peer] == [(1, 10_000), (1, 1_000_000)]


def test_a_server_that_exports_stands_beside_the_one_that_does_not():
    made = plan("--exports", "--stored", "10000")
    kinds = [it for it in made.kinds(with_peer=False) if it.exports]
    assert [(it.engine, it.workers) for it in kinds] == [("postgresql", 1), ("postgresql", 2)]
    assert kinds[1].label == "authz, PostgreSQL, 2 proc., exporting"
    assert not any(it.exports for it in plan().kinds(with_peer=True))


def test_words_replace_what_quick_says():
    made = plan("--quick", "--loads", "jwks,code", "--connections", "4", "--seconds", "1")
    assert (made.loads, made.connections, made.seconds) == (("jwks", "code"), (4,), 1)
    assert made.rounds == 1


def test_no_refresh_token_is_used_twice_however_many_servers_share_them():
    made = plan("--stored", "5000,200000")
    for stored in made.stored:
        runs = made.rounds * len(made.connections) + 2
        assert made.tokens_of_a_run(stored) * runs * len(made.workers) <= made.used(stored)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--loads", "refresh,nonsense"], "'nonsense' is not one of discovery"),
        (["--engines", "oracle"], "'oracle' is not one of postgresql, sqlite"),
        (["--workers", "3"], "3 is not one of 1, 2"),
        (["--engines", "sqlite", "--workers", "2"], "SQLite serves one process"),
        (["--stored", "200"], "--stored 200 is too few"),
        (["--engines", "sqlite", "--workers", "1", "--exports"], "--exports is measured on"),
    ],
)
def test_what_cannot_be_measured_is_said(words, said):
    with pytest.raises(BenchError, match=said):
        plan(*words)


@pytest.mark.parametrize("words", [["--rounds", "0"], ["--connections", "1,x"], ["--seconds", ""]])
def test_numbers_are_numbers(words, capsys):
    with pytest.raises(SystemExit):
        arguments(words)
    assert words[0] in capsys.readouterr().err


def test_one_process_is_profiled():
    made = profile_plan(arguments(["--profile", "refresh", "--connections", "1,8"]))
    assert (made.loads, made.workers, made.connections) == (("refresh",), (1,), (8,))
    assert len(list(made.kinds(with_peer=False))) == 1
    with pytest.raises(SystemExit):
        arguments(["--profile", "refresh", "--from", "x.json"])


def test_every_option_is_explained(capsys):
    with pytest.raises(SystemExit):
        arguments(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for option in vars(arguments([])):
        assert f"--{option.replace('_', '-').replace('saved', 'from')} " in shown
    assert Kind("authz", "postgresql", 2, 1).label == "authz, PostgreSQL, 2 proc."
