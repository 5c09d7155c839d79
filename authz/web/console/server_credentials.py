"""What an MCP server gets of the systems behind it: by reference, the secrets are on no page (V4)."""

from collections.abc import Sequence

from authz.admin import credentials
from authz.admin.credentials import CredentialLine
from authz.web.console.tables import Part
from authz.web.console.visit import Act, Answer, Done, Sure, Visit


def add(visit: Visit) -> Answer:
    """POST …/credential."""
    server_id = visit.path["id"]
    visit.change(
        credentials.add,
        server_id,
        name=visit.needed("credential", "The name"),
        reference=visit.needed("reference", "Where the secret is"),
        scopes=visit.given("takes").split(),
    )
    return Done(visit.url(f"servers/{server_id}"), "credential")


def remove(visit: Visit) -> Answer:
    """POST …/credential-remove."""
    server_id, back = visit.path["id"], visit.url(f"servers/{visit.path['id']}")
    found = visit.read(credentials.show, server_id, visit.given("credential"))
    if not visit.is_sure:
        affected = [
            f"{found.server} gets {found.name} no more, from its next request on.",
            "What it has got is good until the secret is rotated where it comes from.",
        ]
        return Sure("Remove this credential?", "Remove it", affected, back)
    visit.change(credentials.remove, server_id, found.name)
    return Done(back, "credential-removed")


def stores(held: Sequence[CredentialLine]) -> list[tuple[str, str]]:
    """The kinds of places that their references name, to choose from."""
    return [(it, it) for it in sorted({_store(one) for one in held})]


def _store(held: CredentialLine) -> str:
    return held.reference.partition(":")[0]


PART: Part[CredentialLine] = Part(
    "credentials",
    ("Name", "Where the secret is", "For tokens with"),
    lambda it: (it.name, it.reference, it.scopes),
    lambda it: " ".join((it.name, it.reference, *it.scopes)),
    {"store": _store},
    name="credentials",
)
ACTS = (
    Act("credential", add, {"name": "credential", "scopes": "takes"}),
    Act("credential-remove", remove),
)
DONE = {
    "credential": "The credential is kept for this server: its own client gets it, for such tokens, and nobody else.",
    "credential-removed": "The server gets it no more.",
}
