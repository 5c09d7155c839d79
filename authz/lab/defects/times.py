"""Too late, too early, too long, or not to be told apart from another one: `exp`, `iat`, `nbf`, `jti`."""

from authz.lab.defects.row import Defect, defects
from authz.lab.judgement import GRANT, REQUEST
from authz.lab.scenario import Level
from authz.lab.statement import Statement

_HOUR, _DAY = 3600, 86_400


def _made(it: Statement, *, at: int) -> str:
    """Made so many seconds from now, for five minutes."""
    return it.sign(iat=it.now + at, exp=it.now + at + 300)


DEFECTS: tuple[Defect, ...] = (
    *defects(
        "IDJAG-07 EMA-12",
        "ID-JAG §3.1; RFC 7523 §3",
        ("exp-absent", "without an `exp`", lambda it: it.sign(exp=None)),
        ("exp-past", "that expired long ago", lambda it: _made(it, at=-_HOUR)),
        ("exp-text", "whose `exp` is text", lambda it: it.sign(exp=str(it.now + 300))),
        ("exp-true", "whose `exp` is true", lambda it: it.sign(exp=True)),
        ("exp-infinite", "whose `exp` is 1e300", lambda it: it.sign(exp=1e300)),
        ("exp-negative", "whose `exp` is negative", lambda it: it.sign(exp=-1)),
        ("iat-absent", "without an `iat`", lambda it: it.sign(iat=None)),
        ("iat-text", "whose `iat` is text", lambda it: it.sign(iat=str(it.now))),
        ("iat-future", "that will be made in an hour", lambda it: _made(it, at=_HOUR)),
    ),
    *defects(
        "IDJAG-09",
        "RFC 7523 §3",
        ("nbf-future", "that is good in an hour", lambda it: it.sign(nbf=it.now + _HOUR)),
    ),
    *defects(
        "IDJAG-08 EMA-12",
        "ID-JAG §4.3.4, by its examples",
        ("exp-day", "that is good for a day", lambda it: it.sign(exp=it.now + _DAY)),
        level=Level.SHOULD,
    ),
    *defects(
        "IDJAG-06 EMA-06",
        "ID-JAG §3.1",
        ("jti-absent", "without a `jti`", lambda it: it.sign(jti=None)),
        ("jti-empty", "whose `jti` is empty", lambda it: it.sign(jti="")),
        ("jti-number", "whose `jti` is a number", lambda it: it.sign(jti=7)),
    ),
    *defects(
        "IDJAG-06",
        "a bound that no text names",
        ("jti-huge", "whose `jti` is 5,000 letters", lambda it: it.sign(jti="x" * 5000)),
        codes=GRANT | REQUEST,
        level=Level.SHOULD,
    ),
)
