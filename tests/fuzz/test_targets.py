"""Every parser of hostile input, under Hypothesis: quick, and the same inputs in every run."""

import gc
import time

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz import seeds
from tests.fuzz.shapes import inputs
from tests.fuzz.targets import TARGETS

names = pytest.mark.parametrize("name", sorted(TARGETS))
_SMALL_RSA = b'{"keys":[{"kty":"RSA","n":"' + b"A" * 300 + b"u" * 42 + b'","e":"AQAB"}]}'
_BINDING = b"roles: {r: [a]}\nbindings: [{role: r, %s}]"
_HUGE_EXP = b'"exp":1' + b"0" * 400 + b',"x":'
FOUND: tuple[tuple[str, bytes], ...] = (
    ("clients.authentication", b"Basic \xe9"),  # not ASCII: another ValueError
    ("jose.import_jwks", _SMALL_RSA),  # a small key spelled long
    ("web.continuation", b'authorize\x1f\x1f{"acr_values":{},"connections":[],"max_age":1}'),
    ("urls", b"cursor://[]/"),  # no address in the brackets: `urlsplit` raises
    ("urls", b"https://app.example/back&"),  # the answer's parameters went into the path
    ("urls", b"https://app.example/back?x=1?"),  # the answer's first parameter went into a value
    ("policy.roles_file", _BINDING % b"users: [u], until: 0001-01-01T00:00:00+23:59"),
    ("policy.roles_file", b"%YAML 1." + b"9" * 5000 + b"\n---\nr: [a]"),
    ("policy.roles_file", b'r: ["\\UFFFFFFFF"]'),
    ("policy.roles_file", _BINDING % b'groups: ["\\ud800"]'),
    ("policy.roles_file", _BINDING % b'groups: ["\\0"]'),
    ("resource_server.access_token", seeds.CLAIMS[0].replace(b'"exp":', _HUGE_EXP)),
)


@names
def test_a_good_input_is_an_answer(name):
    for seed in TARGETS[name].seeds:
        TARGETS[name](seed)


@names
def test_some_seed_is_not_refused(name):
    """A target that refuses everything would try nothing."""
    target = TARGETS[name]
    assert None in [target.refusal(seed) for seed in target.seeds]


@names
def test_whatever_is_sent_is_read_or_refused(name):
    """ATK-41, ATK-44, ATK-45, ATK-63."""
    target = TARGETS[name]

    @settings(
        max_examples=200,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(name))
    def tried(data):
        target(data)

    tried()


@pytest.mark.parametrize(("name", "data"), FOUND, ids=[name for name, _ in FOUND])
def test_what_was_found_once(name, data):
    TARGETS[name](data)


REPEATED = (
    b"[",
    b'{"a":',
    b"%41",
    b" ",
    b"\\",
    b'"',
    b"=",
    b"&a=",
    b"a.",
    b"/..",
    b"a,",
    b"\n",
    b"- ",
)


@names
def test_work_is_bounded(name):
    """ATK-62: 16 KiB of anything cost milliseconds; counted in CPU time of this thread, so load does not matter.

    Without the collector, which walks through all that the tests before have left behind.
    """
    seed = TARGETS[name].seeds[0]
    middle = len(seed) // 2
    for piece in REPEATED:
        data = piece * (16 * 1024 // len(piece))
        for hostile in (data, seed[:middle] + data + seed[middle:]):
            gc.disable()
            try:
                began = time.thread_time()
                TARGETS[name](hostile)
                spent = time.thread_time() - began
            finally:
                gc.enable()
            assert spent < 0.5, piece
