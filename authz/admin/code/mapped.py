"""Groups that mappings to roles made for themselves."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.admin.mappings import name_of_group
from authz.db.models import Connection, Group, GroupMapping
from authz.policy.roles_file import BindingEntry


def mapped_groups(tx: Session, tenant_id: str) -> frozenset[str]:
    """Their names."""
    rows = tx.execute(
        select(Connection.slug, GroupMapping.claim, GroupMapping.value, Group.name)
        .join(Connection, Connection.id == GroupMapping.connection_id)
        .join(Group, Group.id == GroupMapping.group_id)
        .where(GroupMapping.tenant_id == tenant_id)
    )
    return frozenset(
        group for slug, claim, value, group in rows if group == name_of_group(slug, claim, value)
    )


def is_mapped(binding: BindingEntry, group: str, made: frozenset[str]) -> bool:
    """Whether the mapping says this binding; one that ends some day was made by somebody else."""
    return group in made and binding.until is None
