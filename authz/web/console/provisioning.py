"""Where people come from besides sign-in: domains, provisioning tokens (SCIM), and streams of security signals."""

from datetime import timedelta

from authz.admin import connections, domains, scim_tokens, signal_streams
from authz.admin.signal_streams import NewStream
from authz.errors import Invalid
from authz.policy.administration import Permission
from authz.web.console.tables import Form, FormField, Listing, Row, RowAct, listed
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sure, Visit

_DAYS = (("90", "90 days"), ("365", "a year"), ("30", "30 days"), ("0", "ever"))
_ACTIVE = (("active", "Active"), ("disabled", "Switched off"))


def show_domains(visit: Visit) -> Answer:
    """GET /console/domains: with the DNS record each has to have."""
    can_write = visit.may(Permission.CONNECTIONS_WRITE)
    url = visit.url
    rows = []
    for it in visit.read(domains.list_):
        status = "pending" if it.verified_at is None else "verified"
        acts = [RowAct(url("domains/verify"), "Verify", {"name": it.name})]
        if it.verified_at is not None:
            mandatory = {"name": it.name, "mandatory": "no" if it.is_mandatory else "yes"}
            text = "Let them choose" if it.is_mandatory else "Make it mandatory"
            acts = [RowAct(url("domains/mandatory"), text, mandatory)]
        acts.append(RowAct(url("domains/remove"), "Remove", {"name": it.name}))
        cells = (
            it.connection,
            "must" if it.is_mandatory else "may",
            [it.record_name, it.record_value],
            it.verified_at,
        )
        rows.append(Row(it.name, cells, "", status, acts if can_write else ()))
    form = Form(
        "add",
        "Add a domain",
        url("domains/add"),
        [
            FormField("name", "Domain", hint="Such as corp.example.", required=True),
            FormField("connection", "Its people come from", "choice", choices=_connections(visit)),
        ],
        "Add it",
    )
    return listed(
        visit,
        Listing(
            "domains",
            "Domains",
            "Whoever has an address of a verified domain is sent to its identity provider. A TXT record proves it.",
            ("Domain", "Status", "Provider", "Its people sign in there", "TXT record: name, value", "Verified"),
            rows,
            ("No domain yet", "Add the domain of your people’s addresses; then put the record into DNS and verify it."),
            [form] if can_write and form.fields[1].choices else [],
            (("verified", "Verified"), ("pending", "Waits for its record")),
        ),
    )  # fmt: skip


def add_domain(visit: Visit) -> Answer:
    """POST …/add."""
    name = visit.needed("name", "The domain")
    visit.change(domains.add, name=name, connection=visit.given("connection"))
    return Done(visit.url("domains"), "added")


def verify_domain(visit: Visit) -> Answer:
    """POST …/verify: asks DNS."""
    visit.perform("domains.verify", name=visit.given("name"))
    return Done(visit.url("domains"), "verified")


def set_mandatory(visit: Visit) -> Answer:
    """POST …/mandatory."""
    name, mandatory = visit.given("name"), visit.given("mandatory") == "yes"
    if mandatory and not visit.is_sure:
        affected = [
            f"People with an address of {name} sign in at its identity provider only.",
            "That goes for those who have a password here as well.",
            "Break-glass accounts stay possible. Keep one.",
        ]
        title = f"Make sign-in for {name} mandatory?"
        return Sure(title, "Make it mandatory", affected, visit.url("domains"))
    visit.change(domains.set_mandatory, name, mandatory=mandatory)
    return Done(visit.url("domains"), "mandatory")


def remove_domain(visit: Visit) -> Answer:
    """POST …/remove."""
    name = visit.given("name")
    if not visit.is_sure:
        line = visit.read(domains.show, name)
        affected = [f"People of {line.name} sign in as everybody else. Nobody loses access."]
        return Sure(f"Remove {line.name}?", "Remove it", affected, visit.url("domains"))
    visit.change(domains.remove, name)
    return Done(visit.url("domains"), "removed")


def show_tokens(visit: Visit) -> Answer:
    """GET /console/scim-tokens."""
    can_write = visit.may(Permission.CONNECTIONS_WRITE)
    rows = []
    for it in visit.read(scim_tokens.list_):
        is_over = it.expires_at is not None and it.expires_at <= visit.now
        status = "revoked" if it.revoked_at else "expired" if is_over else "active"
        act = RowAct(visit.url("scim-tokens/revoke"), "Revoke", {"id": it.id})
        cells = (it.connection or "everybody", it.created_at, it.expires_at, it.last_used_at)
        acts = [act] if can_write and status == "active" else []
        rows.append(Row(it.name, cells, "", status, acts))
    everybody = ("", "everybody")
    form = Form(
        "add",
        "Make a token",
        visit.url("scim-tokens/add"),
        [
            FormField("name", "Name", hint="Which directory uses it.", required=True),
            FormField("connection", "Whose people it writes", "choice", choices=[everybody, *_connections(visit)]),
            FormField("days", "It is good for", "choice", choices=_DAYS),
        ],
        "Make it",
    )  # fmt: skip
    return listed(
        visit,
        Listing(
            "scim-tokens",
            "Provisioning",
            f"Directories write people and groups at {visit.configuration.tenant.issuer}/scim/v2 with these tokens.",
            ("Token", "Status", "Writes", "Made", "Ends", "Last use"),
            rows,
            ("No token yet", "Make one for each directory that provisions people here."),
            [form] if can_write else [],
            (("active", "Active"), ("expired", "Expired"), ("revoked", "Revoked")),
        ),
    )  # fmt: skip


def add_token(visit: Visit) -> Answer:
    """POST …/add: shown this once."""
    days = visit.given("days")
    if days not in dict(_DAYS):
        raise Invalid("Choose how long it is good", field="days")
    made = visit.change(
        scim_tokens.add,
        name=visit.needed("name", "The name"),
        connection=visit.given("connection") or None,
        lifetime=None if days == "0" else timedelta(days=int(days)),
    )
    shown = [("Address", f"{visit.configuration.tenant.issuer}/scim/v2"), ("Token", made.token)]
    context = {
        "title": f"Provisioning token {made.line.name}",
        "shown": shown,
        "notes": ["Enter both at the directory."],
        "back": visit.url("scim-tokens"),
    }
    return Screen("secret.html", context)


def revoke_token(visit: Visit) -> Answer:
    """POST …/revoke."""
    if not visit.is_sure:
        affected = ["The directory that uses it writes nothing any more. What it wrote stays."]
        return Sure("Revoke this token?", "Revoke it", affected, visit.url("scim-tokens"))
    visit.change(scim_tokens.revoke, visit.given("id"))
    return Done(visit.url("scim-tokens"), "revoked")


def show_streams(visit: Visit) -> Answer:
    """GET /console/signal-streams."""
    can_write = visit.may(Permission.CONNECTIONS_WRITE)
    rows = []
    for it in visit.read(signal_streams.list_):
        is_on = it.status == "active"
        turned = {"slug": it.slug, "status": "disabled" if is_on else "active"}
        acts = [
            RowAct(
                visit.url("signal-streams/status"), "Switch off" if is_on else "Switch on", turned
            )
        ]
        if it.poll_url is None:
            acts.append(RowAct(visit.url("signal-streams/rotate"), "New token", {"slug": it.slug}))
        acts.append(RowAct(visit.url("signal-streams/remove"), "Remove", {"slug": it.slug}))
        how = "they push" if it.poll_url is None else f"polled at {it.poll_url}"
        cells = (it.connection, it.issuer, it.audience, how, it.last_event_at)
        rows.append(Row(it.slug, cells, "", it.status, acts if can_write else ()))  # fmt: skip
    form = Form(
        "add",
        "Receive a stream",
        visit.url("signal-streams/add"),
        [
            FormField("slug", "Short name", required=True),
            FormField("connection", "Whose people it speaks of", "choice", choices=_connections(visit)),
            FormField("issuer", "Issuer", required=True),
            FormField("jwks_uri", "Address of its keys", required=True),
            FormField("audience", "Audience", hint="What the events name as their receiver.", required=True),
            FormField("poll_url", "Address to poll", hint="Empty: the transmitter pushes, and gets a token."),
            FormField("poll_token", "Token to poll with", "secret", hint="A reference such as env:AUTHZ_SECRET_NAME."),
        ],
        "Receive it",
    )  # fmt: skip
    return listed(
        visit,
        Listing(
            "signal-streams",
            "Security signals",
            "Identity providers tell here at once that somebody left or a session ended (SSF, CAEP, RISC).",
            ("Stream", "Status", "Provider", "Issuer", "Audience", "Delivery", "Last event"),
            rows,
            ("No stream yet", "Without one, the end of access waits for provisioning or for the next refresh."),
            [form] if can_write and form.fields[1].choices else [],
            _ACTIVE,
        ),
    )  # fmt: skip


def add_stream(visit: Visit) -> Answer:
    """POST …/add."""
    new = NewStream(
        slug=visit.needed("slug", "The short name"),
        connection=visit.given("connection"),
        issuer=visit.needed("issuer", "The issuer"),
        jwks_uri=visit.needed("jwks_uri", "The address of its keys"),
        audience=visit.needed("audience", "The audience"),
        poll_url=visit.given("poll_url") or None,
        poll_token=visit.given("poll_token") or None,
    )
    return _token_of(visit, visit.perform("signal_streams.add", **vars(new)), "added")


def rotate_stream(visit: Visit) -> Answer:
    """POST …/rotate: a new token to push with."""
    slug = visit.given("slug")
    if not visit.is_sure:
        affected = ["The token before it ends at once. The transmitter pushes again with the new one."]  # fmt: skip
        return Sure(f"Make a new token for {slug}?", "Make it", affected, visit.url("signal-streams"))  # fmt: skip
    return _token_of(visit, visit.change(signal_streams.rotate_token, slug), "rotated")


def set_stream_status(visit: Visit) -> Answer:
    """POST …/status."""
    visit.change(signal_streams.set_status, visit.given("slug"), visit.given("status"))
    return Done(visit.url("signal-streams"), "status")


def remove_stream(visit: Visit) -> Answer:
    """POST …/remove."""
    slug = visit.given("slug")
    if not visit.is_sure:
        affected = ["What it says is refused from now on. What it ended stays ended."]
        return Sure(f"Remove {slug}?", "Remove it", affected, visit.url("signal-streams"))
    visit.change(signal_streams.remove, slug)
    return Done(visit.url("signal-streams"), "removed")


def _token_of(visit: Visit, made: signal_streams.Made, said: str) -> Answer:
    if made.token is None:
        return Done(visit.url("signal-streams"), said)
    return Screen(
        "secret.html",
        {
            "title": f"Token of the stream {made.line.slug}",
            "shown": [
                ("Address", f"{visit.configuration.tenant.issuer}/signals/{made.line.slug}"),
                ("Token", made.token),
            ],
            "notes": ["Enter both at the transmitter."],
            "back": visit.url("signal-streams"),
        },
    )


def _connections(visit: Visit) -> list[tuple[str, str]]:
    return [(it.slug, it.name) for it in visit.read(connections.list_)]


DOMAINS = Page(
    "domains",
    "Domains",
    Permission.READ,
    show_domains,
    (
        Act("add", add_domain),
        Act("verify", verify_domain),
        Act("mandatory", set_mandatory),
        Act("remove", remove_domain),
    ),
    section="Trust",
    done={
        "added": "The domain is added. Put its record into DNS, then verify it.",
        "verified": "The domain is verified.",
        "mandatory": "That is how its people sign in from now on.",
        "removed": "The domain is removed.",
    },
)
TOKENS = Page(
    "scim-tokens",
    "Provisioning",
    Permission.READ,
    show_tokens,
    (Act("add", add_token), Act("revoke", revoke_token)),
    section="Trust",
    done={"revoked": "The token is revoked."},
)
STREAMS = Page(
    "signal-streams",
    "Security signals",
    Permission.READ,
    show_streams,
    (
        Act("add", add_stream),
        Act("rotate", rotate_stream),
        Act("status", set_stream_status),
        Act("remove", remove_stream),
    ),
    section="Trust",
    done={
        "added": "The stream is received from now on.",
        "status": "That is whether it is listened to from now on.",
        "removed": "The stream is removed.",
    },
)
