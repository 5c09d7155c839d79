"""Which process runs a periodic job."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from authz.db.models.base import Base, Moment


class Lease(Base):
    """Held until it expires or is given back. Leases are the installation's, not a tenant's."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[Moment]
