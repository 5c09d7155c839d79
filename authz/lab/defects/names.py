"""Of another kind, by somebody else, about nobody, for somebody else: `typ`, `iss`, `sub`, `aud`, `client_id`."""

from authz.lab.defects.row import Defect, defects
from authz.lab.statement import STRANGER

_TYPES = defects(
    "IDJAG-01 EMA-05",
    "ID-JAG §3.1, §4.4.1; RFC 8725bis §3.11",
    ("typ-absent", "without a `typ`", lambda it: it.headed(typ=None).sign()),
    ("typ-jwt", "of the type `JWT`", lambda it: it.headed(typ="JWT").sign()),
    ("typ-at", "of the type `at+jwt`", lambda it: it.headed(typ="at+jwt").sign()),
    ("typ-logout", "of the type `logout+jwt`", lambda it: it.headed(typ="logout+jwt").sign()),
    ("typ-event", "of the type `secevent+jwt`", lambda it: it.headed(typ="secevent+jwt").sign()),
    ("typ-longer", "of a longer type", lambda it: it.headed(typ="oauth-id-jag+jwt2").sign()),
)
_ISSUERS = defects(
    "IDJAG-02",
    "ID-JAG §3.1; RFC 8725bis §3.8",
    ("iss-absent", "without an `iss`", lambda it: it.sign(iss=None)),
    ("iss-slash", "whose `iss` has a slash more", lambda it: it.sign(iss=f"{it.issuer}/")),
    ("iss-case", "whose `iss` is in capitals", lambda it: it.sign(iss=it.issuer.upper())),
    ("iss-path", "of a path below the issuer", lambda it: it.sign(iss=f"{it.issuer}/other")),
    ("iss-longer", "of a longer host", lambda it: it.sign(iss=f"{it.issuer}.example")),
    ("iss-list", "whose `iss` is a list", lambda it: it.sign(iss=[it.issuer])),
)
_OWN = defects(
    "IDJAG-43 EMA-26",
    "ID-JAG §9.3",
    ("iss-own", "in the name of the server itself", lambda it: it.sign(iss=it.audience)),
)
_SUBJECTS = defects(
    "IDJAG-03 EMA-06",
    "ID-JAG §3.1; RFC 7523 §3",
    ("sub-absent", "without a `sub`", lambda it: it.sign(sub=None)),
    ("sub-empty", "whose `sub` is empty", lambda it: it.sign(sub="")),
    ("sub-number", "whose `sub` is a number", lambda it: it.sign(sub=7)),
    ("sub-list", "whose `sub` is a list", lambda it: it.sign(sub=[it.claims["sub"]])),
)
_TENANTS = (
    *defects(
        "IDJAG-14",
        "ID-JAG §3.1, §6",
        ("aud-tenant", "for another tenant here", lambda it: it.sign(aud_tenant="lab-nobody")),
    ),
    *defects(
        "IDJAG-81 EMA-22",
        "ID-JAG §6.1 to §6.3",
        ("tenant", "of a customer nobody named", lambda it: it.sign(tenant="lab-nobody")),
    ),
)
_AUDIENCES = defects(
    "IDJAG-04 EMA-08",
    "ID-JAG §4.4.1",
    ("aud-absent", "without an `aud`", lambda it: it.sign(aud=None)),
    ("aud-two", "for the server and a stranger", lambda it: it.sign(aud=[it.audience, STRANGER])),
    ("aud-twice", "for the server, twice", lambda it: it.sign(aud=[it.audience, it.audience])),
    ("aud-none", "whose `aud` is an empty list", lambda it: it.sign(aud=[])),
    ("aud-endpoint", "for the token endpoint", lambda it: it.sign(aud=it.token_endpoint)),
    ("aud-slash", "whose `aud` has a slash more", lambda it: it.sign(aud=f"{it.audience}/")),
    ("aud-longer", "for a longer host", lambda it: it.sign(aud=f"{it.audience}.example")),
    ("aud-stranger", "for another server", lambda it: it.sign(aud=STRANGER)),
)
_CLIENTS = defects(
    "IDJAG-05 IDJAG-54 EMA-09",
    "ID-JAG §3.1, §4.4.1, §5",
    ("client-absent", "without a `client_id`", lambda it: it.sign(client_id=None)),
    ("client-other", "for another client", lambda it: it.sign(client_id="lab-nobody")),
    ("client-longer", "for a longer client", lambda it: it.sign(client_id=f"{it.client}x")),
    ("client-list", "whose `client_id` is a list", lambda it: it.sign(client_id=[it.client])),
)
DEFECTS: tuple[Defect, ...] = (
    *_TYPES,
    *_ISSUERS,
    *_OWN,
    *_SUBJECTS,
    *_TENANTS,
    *_AUDIENCES,
    *_CLIENTS,
)
