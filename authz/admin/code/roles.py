"""Roles and bindings, as entries, through the import of a roles file.

What mappings to roles bind is theirs (`admin.code.mappings`): no file says it twice, and an import leaves it alone.
"""

from collections.abc import Sequence
from dataclasses import replace

from authz.admin import roles
from authz.admin.code.kind import Site
from authz.admin.code.mapped import is_mapped, mapped_groups
from authz.admin.roles_import import import_file
from authz.errors import Invalid
from authz.policy.code.entries import Change, Entries
from authz.policy.code.roles import entries_of, is_binding
from authz.policy.roles_file import BindingEntry, RolesFile


def current(site: Site) -> Entries:
    """Each role, and each holder of each role."""
    return entries_of(current_file(site))


def current_file(site: Site) -> RolesFile:
    """The roles file of now, without what mappings bind."""
    made = mapped_groups(site.tx, site.tenant_id)
    file = roles.export(site.tx, site.tenant_id)
    bindings = []
    for binding in file.bindings or ():
        named = replace(binding, groups=_own_groups(binding, made))
        if named.users or named.groups or named.clients:
            bindings.append(named)
    return replace(file, bindings=tuple(bindings))


def wanted(site: Site, current: Entries) -> Entries | None:
    """Without `bindings` those of now stay, as far as their roles do."""
    file = site.written.roles
    if file is None:
        return None
    entries = entries_of(file)
    if file.bindings is not None:
        return entries
    kept = {
        name: entry
        for name, entry in current.items()
        if is_binding(name) and name.partition(" for the ")[0] in file.roles
    }
    return {**entries, **kept}


def write(site: Site, changes: Sequence[Change]) -> None:
    """All of them in one step, also what goes."""
    file = site.written.roles
    if not changes or file is None:
        return
    if file.bindings is not None:
        made = mapped_groups(site.tx, site.tenant_id)
        for binding in file.bindings:
            if taken := sorted(binding.groups - _own_groups(binding, made)):
                raise Invalid(
                    f"bindings: the group {taken[0]!r} belongs to a mapping; say the role under `mappings`"
                )
        now = roles.export(site.tx, site.tenant_id).bindings or ()
        bound = [
            BindingEntry(it.role, groups=it.groups - _own_groups(it, made))
            for it in now
            if it.role in file.roles and it.groups - _own_groups(it, made)
        ]
        file = replace(file, bindings=(*file.bindings, *bound))
    import_file(site.tx, site.operator, site.tenant_id, file)


def forget(site: Site, changes: Sequence[Change]) -> None:
    """They went with the import."""


def _own_groups(binding: BindingEntry, made: frozenset[str]) -> frozenset[str]:
    return frozenset(it for it in binding.groups if not is_mapped(binding, it, made))
