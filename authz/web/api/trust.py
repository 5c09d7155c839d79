"""Whose assertions are redeemed, about people and about workloads; and for whom ID-JAGs are issued."""

from authz.admin import targets, trust
from authz.admin.targets import TargetLine
from authz.admin.trust import TrustLine
from authz.web.api.kit import Change, Listing, Route, Thing, listed

ENTRY = Thing(
    "/trust/{entry}",
    "trust_entry",
    "One trusted issuer",
    lambda look: trust.show(look.tx, look.tenant_id, look.path["entry"]),
    TrustLine,
)
TARGET = Thing(
    "/targets/{target}",
    "target",
    "One authorization server",
    lambda look: targets.show(look.tx, look.tenant_id, look.path["target"]),
    TargetLine,
)
_OF_ENTRY, _OF_TARGET = {"entry": "slug"}, {"target": "slug"}

ROUTES: tuple[Route, ...] = (
    Listing(
        "/trust",
        "trust",
        "Trusted issuers, by name",
        listed(lambda look: trust.list_(look.tx, look.tenant_id), "slug"),
        TrustLine,
    ),
    Change(
        "POST", "/trust", "trust.add", "Believe an issuer about people", made=lambda it: (it.slug,)
    ),
    ENTRY,
    Change(
        "PATCH",
        "/trust/{entry}/settings",
        "trust.change",
        "Change what is given of an entry about people; a null takes it back to its default",
        inputs=_OF_ENTRY,
        body="settings",
        thing=ENTRY,
    ),
    Change(
        "PUT",
        "/trust/{entry}/status",
        "trust.set_status",
        "Believe it again, or no longer",
        inputs=_OF_ENTRY,
        thing=ENTRY,
    ),
    Change(
        "DELETE",
        "/trust/{entry}",
        "trust.remove",
        "Forget it; its connection and people stay",
        inputs=_OF_ENTRY,
        thing=ENTRY,
    ),
    Change(
        "POST",
        "/workload-trust",
        "workload_trust.add",
        "Believe an issuer about workloads",
    ),
    Change(
        "PATCH",
        "/trust/{entry}/workload-settings",
        "workload_trust.change",
        "The same of an entry about workloads",
        inputs=_OF_ENTRY,
        body="settings",
        thing=ENTRY,
    ),
    Change(
        "POST",
        "/trust/{entry}/rules",
        "workload_trust.allow",
        "Let a workload in, or change the rule of this name",
        inputs=_OF_ENTRY,
        body="rule",
    ),
    Change(
        "DELETE",
        "/trust/{entry}/rules/{workload}",
        "workload_trust.disallow",
        "Take a rule away, and end the tokens of the workload",
        inputs={**_OF_ENTRY, "workload": "workload"},
        thing=ENTRY,
    ),
    Listing(
        "/targets",
        "targets",
        "Authorization servers that ID-JAGs are issued for",
        listed(lambda look: targets.list_(look.tx, look.tenant_id), "slug"),
        TargetLine,
    ),
    Change(
        "POST",
        "/targets",
        "targets.add",
        "Know an authorization server",
        made=lambda it: (it.slug,),
    ),
    TARGET,
    Change(
        "PATCH",
        "/targets/{target}/settings",
        "targets.change",
        "Change what is given; a null takes it back to its default",
        inputs=_OF_TARGET,
        body="settings",
        thing=TARGET,
    ),
    Change(
        "PUT",
        "/targets/{target}/clients/{client}",
        "targets.map_client",
        "What a client of ours is called there; null: nothing",
        inputs={**_OF_TARGET, "client": "client_id"},
        thing=TARGET,
    ),
    Change(
        "PUT",
        "/targets/{target}/status",
        "targets.set_status",
        "Switch it off or on",
        inputs=_OF_TARGET,
        thing=TARGET,
    ),
    Change(
        "DELETE",
        "/targets/{target}",
        "targets.remove",
        "Forget it",
        inputs=_OF_TARGET,
        thing=TARGET,
    ),
)
