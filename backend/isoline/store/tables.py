"""Every table of the store, in one picture.

Structures and labels are thin rows for what is asked about, with 1:1 rows of raw little-endian bytes beside them.
Embeddings and predictions are column chunks. Data only grows; only jobs, workers and sessions change state.
"""

from __future__ import annotations

from datetime import UTC

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Big = BigInteger().with_variant(Integer, "sqlite")


class Time(TypeDecorator):
    """A moment, in UTC. SQLite forgets the zone; here it comes back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value, dialect):
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


# People ---------------------------------------------------------------------------------------------------------

person = Table(
    "person",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(80), nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("role", String(20), nullable=False),
    Column("created", Time, nullable=False),
)

session = Table(
    "session",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("person_id", ForeignKey("person.id"), nullable=False),
    Column("created", Time, nullable=False),
    Column("expires", Time, nullable=False),
)

event = Table(  # the audit trail: who did what to what, and when
    "event",
    metadata,
    Column("id", Big, primary_key=True),
    Column("at", Time, nullable=False),
    Column("actor", String(80), nullable=False),
    Column("verb", String(40), nullable=False),
    Column("subject", String(120), nullable=False),
    Column("detail", JSON, nullable=False),
)

# Structures and labels ------------------------------------------------------------------------------------------

composition = Table(
    "composition",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("formula", Text, nullable=False, unique=True),
    Column("n_elements", SmallInteger, nullable=False),
)

composition_element = Table(
    "composition_element",
    metadata,
    Column("z", SmallInteger, primary_key=True),
    Column("composition_id", ForeignKey("composition.id"), primary_key=True),
    Column("count", Integer, nullable=False),
    sqlite_with_rowid=False,
)

source = Table(
    "source",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(20), nullable=False),  # file | sample | oracle
    Column("name", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("size", Big, nullable=False),
    Column("contract", JSON, nullable=False),  # keys, units and conventions the file was read with
    Column("added_by", String(80), nullable=False),
    Column("added", Time, nullable=False),
)

level_of_theory = Table(
    "level_of_theory",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
)

structure = Table(
    "structure",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=False),  # given by store/structures.py
    Column("hash", LargeBinary(16), nullable=False, unique=True),
    Column("composition_id", ForeignKey("composition.id"), nullable=False, index=True),
    Column("n_atoms", Integer, nullable=False),
    Column("pbc", SmallInteger, nullable=False),  # bits 1, 2, 4 for a, b, c
    Column("volume", Float, nullable=False),  # Å³, 0 without a cell
)

structure_array = Table(
    "structure_array",
    metadata,
    Column("structure_id", Big, ForeignKey("structure.id"), primary_key=True, autoincrement=False),
    Column("numbers", LargeBinary, nullable=False),  # u1 (atoms,)
    Column("positions", LargeBinary, nullable=False),  # <f8 (atoms, 3) Å
    Column("cell", LargeBinary, nullable=False),  # <f8 (3, 3) Å
)

label = Table(  # every member of a dataset has one, possibly empty: its provenance
    "label",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=False),
    Column("structure_id", Big, ForeignKey("structure.id"), nullable=False),
    Column("level_of_theory_id", ForeignKey("level_of_theory.id"), nullable=False),
    Column("hash", LargeBinary(16), nullable=False),
    Column("energy", Float),  # eV, total; NULL is missing
    Column("max_force", Float),  # eV/Å, largest |F| of an atom; NULL without forces
    Column("has_stress", Boolean, nullable=False),
    Column("source_id", ForeignKey("source.id"), nullable=False, index=True),
    Column("source_frame", Integer, nullable=False),
    UniqueConstraint("structure_id", "level_of_theory_id", "hash"),
)

label_array = Table(
    "label_array",
    metadata,
    Column("label_id", Big, ForeignKey("label.id"), primary_key=True, autoincrement=False),
    Column("forces", LargeBinary),  # <f8 (atoms, 3) eV/Å
    Column("stress", LargeBinary),  # <f8 (6,) eV/Å³, Voigt xx yy zz yz xz xy
)

# Datasets -------------------------------------------------------------------------------------------------------

dataset = Table(
    "dataset",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(80), nullable=False, unique=True),
    Column("created_by", String(80), nullable=False),
    Column("created", Time, nullable=False),
)

dataset_version = Table(
    "dataset_version",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("dataset_id", ForeignKey("dataset.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("parent_id", ForeignKey("dataset_version.id")),
    Column("key", String(32), nullable=False),  # content hash of its members, in order
    Column("n_structures", Integer, nullable=False),
    Column("n_atoms", Big, nullable=False),
    Column("n_energy", Integer, nullable=False),
    Column("n_forces", Integer, nullable=False),
    Column("n_stress", Integer, nullable=False),
    Column("elements", JSON, nullable=False),  # atomic numbers, ascending
    Column("groups", JSON, nullable=False),  # name → structures
    Column("splits", JSON, nullable=False),  # name → structures
    Column("levels_of_theory", JSON, nullable=False),  # names
    Column("note", Text, nullable=False),
    Column("created_by", String(80), nullable=False),
    Column("created", Time, nullable=False),
    UniqueConstraint("dataset_id", "version"),
)

dataset_member = Table(
    "dataset_member",
    metadata,
    Column("version_id", ForeignKey("dataset_version.id"), primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),  # 0…n−1: the row of every aligned column
    Column("structure_id", Big, ForeignKey("structure.id"), nullable=False, index=True),
    Column("label_id", Big, ForeignKey("label.id"), nullable=False),
    Column("group", Text, nullable=False),
    Column("split", String(12), nullable=False),
    sqlite_with_rowid=False,
)

# What people say about structures -------------------------------------------------------------------------------

mark = Table(  # decisions and tags as events; the newest of a kind holds
    "mark",
    metadata,
    Column("id", Big, primary_key=True),
    Column("dataset_id", ForeignKey("dataset.id"), nullable=False),
    Column("structure_id", Big, ForeignKey("structure.id"), nullable=False),
    Column("kind", String(12), nullable=False),  # decision | tag
    Column("value", String(80), nullable=False),  # accepted | rejected | "" ; the tag's name
    Column("present", Boolean, nullable=False),  # False takes a tag or a decision back
    Column("batch", String(32), nullable=False, index=True),  # one click = one batch: what undo takes back
    Column("by", String(80), nullable=False),
    Column("at", Time, nullable=False),
    Index("ix_mark_dataset_structure", "dataset_id", "structure_id"),
    Index("ix_mark_dataset", "dataset_id", "id"),
)

selection = Table(
    "selection",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("version_id", ForeignKey("dataset_version.id"), nullable=False),
    Column("rule", JSON, nullable=False),
    Column("positions", LargeBinary, nullable=False),  # <u4 rows of the version, ascending
    Column("n", Integer, nullable=False),
    Column("created_by", String(80), nullable=False),
    Column("created", Time, nullable=False),
)

upload = Table(
    "upload",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", Text, nullable=False),
    Column("size", Big, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("added_by", String(80), nullable=False),
    Column("added", Time, nullable=False),
)

# Jobs and what they made ----------------------------------------------------------------------------------------

job = Table(
    "job",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("title", Text, nullable=False),
    Column("queue", String(20), nullable=False),
    Column("state", String(12), nullable=False, index=True),
    Column("attempt", Integer, nullable=False),
    Column("starts", Integer, nullable=False),  # processes begun since the last checkpoint: too many fail the job
    Column("progress", Float, nullable=False),
    Column("message", Text, nullable=False),
    Column("recipe", JSON, nullable=False),
    Column("result", JSON),
    Column("error", JSON),
    Column("after_id", ForeignKey("job.id")),
    Column("version_id", ForeignKey("dataset_version.id"), index=True),
    Column("created_by", String(80), nullable=False),
    Column("created", Time, nullable=False),
    Column("started", Time),
    Column("finished", Time),
)

job_metric = Table(
    "job_metric",
    metadata,
    Column("job_id", ForeignKey("job.id"), primary_key=True, autoincrement=False),
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("name", String(60), primary_key=True),
    Column("value", Float, nullable=False),
    sqlite_with_rowid=False,
)

job_log = Table(
    "job_log",
    metadata,
    Column("id", Big, primary_key=True),
    Column("job_id", ForeignKey("job.id"), nullable=False, index=True),
    Column("at", Time, nullable=False),
    Column("line", Text, nullable=False),
)

job_checkpoint = Table(
    "job_checkpoint",
    metadata,
    Column("job_id", ForeignKey("job.id"), primary_key=True, autoincrement=False),
    Column("step", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

worker = Table(
    "worker",
    metadata,
    Column("executor_id", String(120), primary_key=True),
    Column("host", String(250), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("queues", JSON, nullable=False),
    Column("device", String(120), nullable=False),
    Column("state", String(12), nullable=False),  # alive | stopped (its work is free) | dead (its work was handed on)
    Column("started", Time, nullable=False),
    Column("beat", Float, nullable=False),  # seconds on the database's clock
)

run_lock = Table(
    "run_lock",
    metadata,
    Column("job_id", ForeignKey("job.id"), primary_key=True, autoincrement=False),
    Column("executor_id", String(120), nullable=False),
    Column("token", String(64), nullable=False),  # one process: what it writes counts only while it holds the lock
)

artifact = Table(
    "artifact",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("key", String(32), nullable=False, unique=True),  # recipe + inputs: the same question has one answer
    Column("name", String(120), nullable=False),
    Column("recipe", JSON, nullable=False),
    Column("summary", JSON, nullable=False),
    Column("version_id", ForeignKey("dataset_version.id"), nullable=False, index=True),
    Column("parent_id", ForeignKey("artifact.id"), index=True),
    Column("job_id", ForeignKey("job.id")),
    Column("created_by", String(80), nullable=False),
    Column("created", Time, nullable=False),
)

artifact_column = Table(
    "artifact_column",
    metadata,
    Column("artifact_id", ForeignKey("artifact.id"), primary_key=True, autoincrement=False),
    Column("name", String(60), primary_key=True),
    Column("chunk", Integer, primary_key=True, autoincrement=False),
    Column("dtype", String(8), nullable=False),  # numpy name, little-endian: <f4, <f8, <i8, |u1
    Column("width", Integer, nullable=False),  # values per row: shape is (rows,) for 1, else (rows, width)
    Column("rows", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

artifact_file = Table(
    "artifact_file",
    metadata,
    Column("artifact_id", ForeignKey("artifact.id"), primary_key=True, autoincrement=False),
    Column("name", String(120), primary_key=True),
    Column("data", LargeBinary, nullable=False),
)
