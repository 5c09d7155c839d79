"""For what it is not good, or bound to what nobody showed: `resource`, `scope`, `authorization_details`, `cnf`."""

from authz.lab.defects.row import Defect, defects
from authz.lab.judgement import GRANT, SCOPE, TARGET
from authz.lab.scenario import Level
from authz.lab.statement import STRANGER

_ELSEWHERE = f"{STRANGER}/mcp"
_DETAILS = GRANT | {"invalid_authorization_details"}

_STRANGE_RESOURCES = defects(
    "IDJAG-57 EMA-13 EMA-28",
    "ID-JAG §4.4.1; EMA §4.3",
    ("resource-stranger", "for a stranger's server", lambda it: it.sign(resource=_ELSEWHERE)),
    (
        "resource-and-stranger",
        "for this server and a stranger's",
        lambda it: it.sign(resource=[it.resource, _ELSEWHERE]),
    ),
    ("resource-longer", "for a longer path", lambda it: it.sign(resource=f"{it.resource}b")),
    ("resource-below", "for a path below", lambda it: it.sign(resource=f"{it.resource}/below")),
    ("resource-query", "for a URL with a query", lambda it: it.sign(resource=f"{it.resource}?a=b")),
    codes=TARGET,
)
_MALFORMED_RESOURCES = (
    *defects(
        "IDJAG-10 EMA-13",
        "ID-JAG §3.1; RFC 8707 §2",
        (
            "resource-fragment",
            "for a URL with a fragment",
            lambda it: it.sign(resource=f"{it.resource}#a"),
        ),
        ("resource-relative", "for a relative URL", lambda it: it.sign(resource="/mcp")),
        ("resource-number", "whose `resource` is a number", lambda it: it.sign(resource=7)),
        codes=TARGET,
    ),
    *defects(
        "IDJAG-10",
        "ID-JAG §3.1",
        ("resource-none", "whose `resource` is an empty list", lambda it: it.sign(resource=[])),
        (
            "resource-twice",
            "for the server, twice",
            lambda it: it.sign(resource=[it.resource, it.resource]),
        ),
        codes=TARGET,
        level=Level.SHOULD,
    ),
)
_SCOPES = (
    *defects(
        "IDJAG-11",
        "ID-JAG §3.1; RFC 6749 §3.3",
        ("scope-list", "whose `scope` is a list", lambda it: it.sign(scope=it.scope.split())),
        codes=SCOPE,
    ),
    *defects(
        "IDJAG-11",
        "RFC 6749 §3.3",
        ("scope-quote", "with a quote in `scope`", lambda it: it.sign(scope=f'{it.scope} a"b')),
        codes=SCOPE,
        level=Level.SHOULD,
    ),
    *defects(
        "IDJAG-60 EMA-16",
        "ID-JAG §4.4.1",
        ("scope-unknown", "of unknown scopes alone", lambda it: it.sign(scope="lab:unknown")),
        codes=SCOPE,
    ),
)
_LIMITS = defects(
    "IDJAG-12 IDJAG-62 EMA-17",
    "ID-JAG §3.1, §4.4.1; RFC 9396 §2, §5",
    (
        "details-object",
        "whose `authorization_details` is no list",
        lambda it: it.sign(authorization_details={"type": "lab"}),
    ),
    (
        "details-unknown",
        "with `authorization_details` of an unknown type",
        lambda it: it.sign(authorization_details=[{"type": "urn:lab:unknown"}]),
    ),
    codes=_DETAILS,
)
_BINDINGS = defects(
    "IDJAG-16 EMA-23",
    "ID-JAG §9.9; RFC 7800 §3.1",
    ("cnf-unknown", "bound in an unknown way", lambda it: it.sign(cnf={"lab": "x"})),
    ("cnf-kid", "bound to a key that is only named", lambda it: it.sign(cnf={"kid": "x"})),
    ("cnf-text", "whose `cnf` is no object", lambda it: it.sign(cnf="x")),
    ("cnf-number", "whose `jkt` is a number", lambda it: it.sign(cnf={"jkt": 7})),
    (
        "cnf-certificate",
        "bound to a certificate nobody showed",
        lambda it: it.sign(cnf={"x5t#S256": "A" * 43}),
    ),
)
DEFECTS: tuple[Defect, ...] = (
    *_STRANGE_RESOURCES,
    *_MALFORMED_RESOURCES,
    *_SCOPES,
    *_LIMITS,
    *_BINDINGS,
)
