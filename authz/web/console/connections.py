"""Identity providers: the list, one more by its preset, and one with its settings."""

from sqlalchemy.orm import Session

from authz.admin import connections
from authz.admin.connections import ConnectionDetails
from authz.errors import NotFound
from authz.federation import presets, saml_presets
from authz.federation.registry import CONNECTORS
from authz.policy.administration import Permission
from authz.web.console import settings_form
from authz.web.console.tables import Form, FormField, Listing, Row, listed
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sure, Visit
from authz.web.console.words import counted

FIRST = frozenset(
    {"issuer", "client_id", "client_secret", "tenant", "entity_id", "sso_url", "certificates"}
)
"""Members that stand in sight; the others are folded away."""
_STATUSES = (("active", "Active"), ("disabled", "Switched off"))
_FLAGS = (
    ("is_listed", "Show a button on the sign-in page"),
    ("provisions", "Make an account at somebody’s first sign-in"),
    ("links_by_email", "Link an account with the same verified address"),
)


def show(visit: Visit) -> Answer:
    """GET /console/connections."""
    rows = [
        Row(
            it.slug,
            (it.name, _product(it.kind, it.preset), it.domains, it.people, it.created_at),
            visit.url(f"connections/{it.slug}"),
            it.status,
        )
        for it in visit.read(connections.list_)
    ]
    choose = Form(
        "add",
        "Connect an identity provider",
        visit.url("connections/begin"),
        [FormField("preset", "Product", "choice", choices=_choices())],
        "Go on",
    )
    can_write = visit.may(Permission.CONNECTIONS_WRITE)
    return listed(
        visit,
        Listing(
            "connections",
            "Identity providers",
            "Where people sign in. Each is believed only about what its settings pin.",
            ("Connection", "Status", "Name", "Product", "Domains", "People", "Since"),
            rows,
            ("No identity provider yet", "Choose the product below; until then people have passwords here."),
            [choose] if can_write else [],
            _STATUSES,
        ),
    )  # fmt: skip


def begin(visit: Visit) -> Answer:
    """POST …/begin: to the form of the product."""
    kind, preset = _preset(visit.given("preset"))
    return Done(visit.url("connect", preset=f"{kind}:{preset}"), "chosen")


def show_new(visit: Visit) -> Answer:
    """GET /console/connect?preset=KIND:PRODUCT: its form, made from the connector's settings."""
    kind, preset = _preset(visit.asked("preset") or "oidc:generic")
    model = visit.edge.connectors.of(kind).settings_model
    product = presets.PRESETS.get(preset) if kind == "oidc" else None
    initial = {"issuer": product.issuer} if product is not None else {}
    fields = settings_form.fields_of(model, initial)
    own = [
        FormField("slug", "Short name", hint="It stands in addresses and never changes.", required=True),
        FormField("name", "Name on the button", required=True),
    ]  # fmt: skip
    if kind == "saml":
        hint = "Paste the XML that the provider publishes. What you type below wins over it."
        own.append(FormField("metadata", "Metadata of the provider", "area", hint=hint))
    own += [it for it in fields if it.name in FIRST]
    form = Form(
        "new",
        "Settings",
        visit.url("connect/add", preset=f"{kind}:{preset}"),
        [*own, *(_flag(*it, is_on=it[0] == "is_listed") for it in _FLAGS)],
        "Connect",
        more=[it for it in fields if it.name not in FIRST],
    )
    words = [] if product is None else list(product.words)
    addresses = f"{visit.configuration.tenant.issuer}/federation/SHORT-NAME/callback"
    words = [it.replace("{redirect_uri}", addresses) for it in words]
    return Screen(
        "connection_new.html",
        {"product": _product(kind, preset), "form": form, "words": words},
    )


def add(visit: Visit) -> Answer:
    """POST …/new/add."""
    kind, preset = _preset(visit.asked("preset"))
    model = visit.edge.connectors.of(kind).settings_model
    found = settings_form.read(model, _typed(visit))
    metadata = visit.given("metadata")
    slug = visit.needed("slug", "The short name")
    name = visit.needed("name", "The name")
    made = visit.perform(
        "connections.add",
        slug=slug,
        kind=kind,
        preset=preset,
        name=name,
        settings={member: value for member, value in found.items() if value is not None},
        **{flag: visit.given(flag) == "yes" for flag, _ in _FLAGS},
        **({"metadata": metadata} if metadata else {}),
    )
    return Done(visit.url(f"connections/{made.slug}"), "added")


def show_one(visit: Visit) -> Answer:
    """GET /console/connections/SLUG."""
    found = _load(visit)
    can_write = visit.may(Permission.CONNECTIONS_WRITE)
    forms = []
    if can_write:
        forms.append(_flags_form(visit, found))
    if can_write and found.kind in CONNECTORS:
        model = visit.edge.connectors.of(found.kind).settings_model
        fields = settings_form.fields_of(model, found.settings, is_kept=True)
        forms.append(
            Form(
                "settings-form",
                "Change its settings",
                visit.url(f"connections/{found.slug}/settings"),
                [it for it in fields if it.name in FIRST],
                "Change",
                more=[it for it in fields if it.name not in FIRST],
            )
        )
    return Screen(
        "connection.html",
        {
            "connection": found,
            "product": _product(found.kind, found.preset),
            "settings": [(n, settings_form.shown(v)) for n, v in sorted(found.settings.items())],
            "forms": forms,
        },
    )


def change_settings(visit: Visit) -> Answer:
    """POST …/settings."""
    found = _load(visit)
    model = visit.edge.connectors.of(found.kind).settings_model
    typed = settings_form.read(model, _typed(visit))

    def now(tx: Session) -> dict[str, str]:
        stored = connections.load(tx, visit.tenant_id, found.slug).settings
        return {name: settings_form.shown(stored.get(name)) for name in typed}

    labels = {it.name: it.label for it in settings_form.fields_of(model, {}) if it.name in typed}
    visit.edit(
        labels,
        now,
        connections.change,
        visit.edge.connectors,
        found.slug,
        settings=typed,
        issuer=visit.configuration.tenant.issuer,
    )
    return Done(visit.url(f"connections/{found.slug}"), "changed")


def change_flags(visit: Visit) -> Answer:
    """POST …/how: its name, and how people come in."""
    slug = visit.path["id"]
    visit.perform(
        "connections.change",
        slug=slug,
        name=visit.needed("name", "The name"),
        **{flag: visit.given(flag) == "yes" for flag, _ in _FLAGS},
    )
    return Done(visit.url(f"connections/{slug}"), "changed")


def renew(visit: Visit) -> Answer:
    """POST …/renew: read what the provider publishes of itself."""
    slug = visit.path["id"]
    visit.perform("connections.renew", slug=slug)
    return Done(visit.url(f"connections/{slug}"), "renewed")


def set_status(visit: Visit) -> Answer:
    """POST …/status."""
    found, status = _load(visit), visit.given("status")
    back = visit.url(f"connections/{found.slug}")
    if status == "disabled" and not visit.is_sure:
        affected = [
            f"Nobody signs in through {found.name} any more.",
            f"{counted(found.people, 'person', 'people')} came that way.",
            "Every access token that stands on it ends at once.",
        ]
        return Sure(f"Switch {found.name} off?", "Switch it off", affected, back)
    visit.change(connections.set_status, found.slug, status)
    return Done(back, status)


def remove(visit: Visit) -> Answer:
    """POST …/remove."""
    found = _load(visit)
    if not visit.is_sure:
        affected = [
            f"{counted(found.people, 'account')} lose their link to it. Who only came that way cannot sign in.",
            f"Its {counted(len(found.domains), 'domain')}, mappings, tokens and signal streams go with it.",
            "Every access token that stands on it ends at once.",
        ]
        back = visit.url(f"connections/{found.slug}")
        return Sure(f"Remove {found.name}?", "Remove it", affected, back)
    visit.change(connections.remove, found.slug)
    return Done(visit.url("connections"), "removed")


_YES_NO = (("no", "no"), ("yes", "yes"))


def _typed(visit: Visit) -> dict[str, str]:
    return {name: visit.given(name) for name in visit.form if not name.startswith("was_")}


def _load(visit: Visit) -> ConnectionDetails:
    found: ConnectionDetails = visit.read(
        connections.show, visit.path["id"], visit.configuration.tenant.issuer
    )
    return found


def _flag(name: str, label: str, *, is_on: bool) -> FormField:
    return FormField(name, label, "choice", value="yes" if is_on else "no", choices=_YES_NO)


def _flags_form(visit: Visit, found: ConnectionDetails) -> Form:
    values = vars(found)
    flags = [_flag(name, label, is_on=values[name]) for name, label in _FLAGS]
    name = FormField("name", "Name on the button", value=found.name, required=True)
    action = visit.url(f"connections/{found.slug}/how")
    return Form("how", "How people come in", action, [name, *flags], "Change")


def _preset(text: str) -> tuple[str, str]:
    kind, _, preset = text.partition(":")
    known = {"oidc": presets.PRESETS, "saml": saml_presets.PRESETS}
    if preset not in known.get(kind, {}):
        raise NotFound("there is no such product here; choose one of the list")
    return kind, preset


def _product(kind: str, preset: str) -> str:
    if kind == "oidc" and preset in presets.PRESETS:
        return presets.PRESETS[preset].product
    if kind == "saml" and preset in saml_presets.PRESETS:
        return f"{saml_presets.PRESETS[preset].label} (SAML)"
    return "assertions only" if kind not in CONNECTORS else kind


def _choices() -> list[tuple[str, str]]:
    oidc = [(f"oidc:{it}", _product("oidc", it)) for it in presets.PRESETS]
    return [*oidc, *((f"saml:{it}", _product("saml", it)) for it in saml_presets.PRESETS)]


PAGE = Page(
    "connections",
    "Identity providers",
    Permission.READ,
    show,
    (Act("begin", begin),),
    section="Trust",
    done={"removed": "The identity provider is removed."},
)
NEW = Page(
    "connect",
    "Connect an identity provider",
    Permission.CONNECTIONS_WRITE,
    show_new,
    (Act("add", add),),
    is_listed=False,
)
ONE = Page(
    "connections/{id}",
    "Identity provider",
    Permission.READ,
    show_one,
    (
        Act("settings", change_settings),
        Act("how", change_flags),
        Act("renew", renew),
        Act("status", set_status),
        Act("remove", remove),
    ),
    is_listed=False,
    done={
        "added": "It is connected. Enter the addresses below at the provider, then try to sign in.",
        "changed": "The change holds from the next sign-in on.",
        "renewed": "What the provider publishes is taken over.",
        "disabled": "It is switched off, and what stood on it has ended.",
        "active": "It is switched on.",
    },
)
