"""The declarative base and the columns every aggregate repeats."""

from datetime import datetime
from typing import Annotated, Any

from sqlalchemy import MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, mapped_column

from authz.db.types import Json, ScopeSet, UTCDateTime

Id = Annotated[str, mapped_column(String(64), primary_key=True)]
TenantId = Annotated[str, mapped_column(String(64), nullable=False)]
TenantKey = Annotated[str, mapped_column(String(64), primary_key=True)]
Moment = Annotated[datetime, mapped_column(UTCDateTime, nullable=False)]
OptionalMoment = Annotated[datetime | None, mapped_column(UTCDateTime, nullable=True)]


class Base(DeclarativeBase):
    """Constraint names are fixed, so that a migration can name them on every engine."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 -- SQLAlchemy reads it as a plain class attribute
        str: Text,
        datetime: UTCDateTime,
        frozenset[str]: ScopeSet,
        dict[str, Any]: Json,
        list[str]: Json,
        list[dict[str, Any]]: Json,
    }
