"""The ledger's tables, one definition for every database: declared types, text ids, UTC times, JSON."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    TypeDecorator,
)
from sqlalchemy import Text as AnyText
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect

metadata = MetaData()
Text = AnyText().with_variant(postgresql.TEXT(collation="C"), "postgresql")
"""A text that is ordered by its bytes, whatever language the database was made for."""


class UtcTime(TypeDecorator[datetime]):
    """A time with its zone: stored as UTC without one, since SQLite keeps none, and read back as UTC."""

    impl = DateTime
    cache_ok = True
    """Statements with it may be cached: it has no options."""

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Bring a time to UTC before it is written."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Say that the stored time is UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


def _round_key() -> Column[int]:
    return Column("round", Integer, ForeignKey("round.number"), primary_key=True)


migration = Table(
    "migration", metadata, Column("name", Text, primary_key=True), Column("applied", UtcTime, nullable=False)
)

campaign = Table(
    "campaign",
    metadata,
    Column("name", Text, primary_key=True),
    Column("created", UtcTime, nullable=False),
    Column("package_version", Text, nullable=False),
    Column("config", JSON, nullable=False),
    Column("moved_to", Text),
)

round_ = Table(
    "round",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("opened", UtcTime, nullable=False),
    Column("finished", UtcTime),
)

input_ = Table(
    "input",
    metadata,
    Column("path", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("n_cells", BigInteger),
    Column("n_genes", BigInteger),
    Column("added", UtcTime, nullable=False),
    Column("place", Integer, nullable=False),
)

step = Table(
    "step",
    metadata,
    _round_key(),
    Column("name", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("started", UtcTime, nullable=False),
    Column("finished", UtcTime),
    Column("config", JSON, nullable=False),
    Column("outputs", JSON, nullable=False),
    Column("contents", JSON, nullable=False),
    Column("place", Integer, nullable=False),
)

score = Table(
    "score",
    metadata,
    _round_key(),
    Column("place", Integer, primary_key=True),
    Column("method", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("denominator", Text, nullable=False),
    Column("metric", Text, nullable=False),
    Column("value", Float),
    Column("ci_low", Float),
    Column("ci_high", Float),
    Column("n_genes", Integer, nullable=False),
    Column("n_hits", Integer, nullable=False),
    Column("rule", Text, nullable=False),
    Column("interval", Text, nullable=False),
    Column("declared", Boolean, nullable=False),
    Column("targets", Text, nullable=False),
)

target = Table(
    "target",
    metadata,
    Column("gene_id", Text, primary_key=True),
    Column("modality", Text, primary_key=True),
    Column("fold", Integer, nullable=False),
    Column("frozen_hash", Text, nullable=False),
    Column("frozen", UtcTime, nullable=False),
)

proposal = Table(
    "proposal",
    metadata,
    _round_key(),
    Column("policy", Text, primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("gene_id", Text, nullable=False),
    Column("gene_name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("benefit", Float),
    Column("reason", Text, nullable=False),
    Column("flags", Text, nullable=False, server_default=""),
    Column("probability", Float),
    Column("ci_low", Float),
    Column("ci_high", Float),
    Column("shift", Float),
    Column("because", Text, nullable=False, server_default=""),
)

trial = Table(
    "trial",
    metadata,
    Column("batch", Integer, primary_key=True, autoincrement=False),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("policy", Text, nullable=False),
    Column("gene_id", Text, nullable=False),
    Column("gene_name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("predicted", Float),
    Column("shift", Float),
    Column("status", Text, nullable=False),
    Column("hit", Boolean),
    Column("source", Text, nullable=False),
    Column("proposed", UtcTime, nullable=False),
    Column("told", UtcTime),
)
