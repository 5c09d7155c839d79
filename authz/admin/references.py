"""Which secrets of the machine somebody may refer to.

A reference is read by the server and sent to where its connection or stream points. Whoever may set both could have the
server's own key sent to themselves (V4, V6). So administrators refer to what the machine's operator put there for them:
references that begin as `secrets.allowed` says for all tenants, or `secrets.tenants` for theirs. The command line,
which could read the rest anyhow, may name all.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from authz.admin.operator import Operator
from authz.errors import Invalid, about
from authz.secretstores import STORES


def check_references(operator: Operator, value: Any, *, known: Any = None) -> None:
    """Raises Invalid for a reference in `value`, at any depth, that is not theirs to name; those in `known` stay."""
    if isinstance(value, Mapping):
        for member, part in value.items():
            with about(member):
                check_references(operator, part, known=known)
        return
    if operator.home is None:
        return
    stays = frozenset(references_in(known))
    for reference in references_in(value):
        if reference not in stays and not _is_theirs(reference, operator.references):
            raise Invalid(
                f"{reference!r} is not a secret that administrators may refer to: name one that begins with "
                f"{' or '.join(operator.references) or 'nothing (none is set aside)'}, "
                "or have it set on the machine's command line"
            )


def _is_theirs(reference: str, prefixes: Sequence[str]) -> bool:
    """Compared as text: so a path that leads out of what it begins with is nobody's (V6)."""
    scheme, _, rest = reference.partition(":")
    # A file may have a # in its name; in a store it begins the key.
    path = (rest if scheme == "file" else rest.partition("#")[0]).removeprefix("/")
    if any(part in ("", ".", "..") for part in path.split("/")) or not reference.isprintable():
        return False
    return any(_begins(reference, it) for it in prefixes)


def _begins(reference: str, prefix: str) -> bool:
    # What stands before a / is a project there: `gcp-sm:team-` would also be all secrets of one called team-b.
    if prefix.startswith("gcp-sm:") and "/" in reference and "/" not in prefix:
        return False
    return reference.startswith(prefix) and reference != prefix


def references_in(value: Any) -> Iterator[str]:
    """Whatever could be read as one: every text that begins with the name of a store."""
    if isinstance(value, str):
        if value.partition(":")[0] in STORES:
            yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from references_in(part)
    elif isinstance(value, Sequence):
        for part in value:
            yield from references_in(part)
