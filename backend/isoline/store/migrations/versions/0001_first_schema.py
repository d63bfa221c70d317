"""First schema: people, structures and labels, datasets, marks, jobs and their results."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
TIME = sa.DateTime(timezone=True)
TABLES = (
    "person session event composition composition_element source level_of_theory structure structure_array "
    "label label_array dataset dataset_version dataset_member mark selection upload job job_metric job_log "
    "job_checkpoint worker run_lock artifact artifact_column artifact_file"
)

RAW = (
    ("structure_array", "positions"),
    ("label_array", "forces"),
    ("selection", "positions"),
    ("job_checkpoint", "data"),
    ("artifact_column", "data"),
    ("artifact_file", "data"),
)


def upgrade() -> None:
    op.create_table(
        "person",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(80), nullable=False, unique=True),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("created", TIME, nullable=False),
    )
    op.create_table(
        "session",
        sa.Column("token_hash", sa.String(64), primary_key=True),
        sa.Column("person_id", sa.Integer, sa.ForeignKey("person.id"), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("expires", TIME, nullable=False),
    )
    op.create_table(
        "event",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor", sa.String(80), nullable=False),
        sa.Column("verb", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(120), nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
    )
    op.create_table(
        "composition",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("formula", sa.Text, nullable=False, unique=True),
        sa.Column("n_elements", sa.SmallInteger, nullable=False),
    )
    op.create_table(
        "composition_element",
        sa.Column("z", sa.SmallInteger, primary_key=True),
        sa.Column("composition_id", sa.Integer, sa.ForeignKey("composition.id"), primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "source",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("contract", sa.JSON, nullable=False),
        sa.Column("added_by", sa.String(80), nullable=False),
        sa.Column("added", TIME, nullable=False),
    )
    op.create_table(
        "level_of_theory",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
    )
    op.create_table(
        "structure",
        sa.Column("id", BIG, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.LargeBinary(16), nullable=False, unique=True),
        sa.Column("composition_id", sa.Integer, sa.ForeignKey("composition.id"), nullable=False, index=True),
        sa.Column("n_atoms", sa.Integer, nullable=False),
        sa.Column("pbc", sa.SmallInteger, nullable=False),
        sa.Column("volume", sa.Float, nullable=False),
    )
    op.create_table(
        "structure_array",
        sa.Column("structure_id", BIG, sa.ForeignKey("structure.id"), primary_key=True, autoincrement=False),
        sa.Column("numbers", sa.LargeBinary, nullable=False),
        sa.Column("positions", sa.LargeBinary, nullable=False),
        sa.Column("cell", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "label",
        sa.Column("id", BIG, primary_key=True, autoincrement=False),
        sa.Column("structure_id", BIG, sa.ForeignKey("structure.id"), nullable=False),
        sa.Column("level_of_theory_id", sa.Integer, sa.ForeignKey("level_of_theory.id"), nullable=False),
        sa.Column("hash", sa.LargeBinary(16), nullable=False),
        sa.Column("energy", sa.Float),
        sa.Column("max_force", sa.Float),
        sa.Column("has_stress", sa.Boolean, nullable=False),
        sa.Column("source_id", sa.Integer, sa.ForeignKey("source.id"), nullable=False, index=True),
        sa.Column("source_frame", sa.Integer, nullable=False),
        sa.UniqueConstraint("structure_id", "level_of_theory_id", "hash"),
    )
    op.create_table(
        "label_array",
        sa.Column("label_id", BIG, sa.ForeignKey("label.id"), primary_key=True, autoincrement=False),
        sa.Column("forces", sa.LargeBinary),
        sa.Column("stress", sa.LargeBinary),
    )
    op.create_table(
        "dataset",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(80), nullable=False, unique=True),
        sa.Column("created_by", sa.String(80), nullable=False),
        sa.Column("created", TIME, nullable=False),
    )
    op.create_table(
        "dataset_version",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("dataset_id", sa.Integer, sa.ForeignKey("dataset.id"), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("parent_id", sa.Integer, sa.ForeignKey("dataset_version.id")),
        sa.Column("key", sa.String(32), nullable=False),
        sa.Column("n_structures", sa.Integer, nullable=False),
        sa.Column("n_atoms", BIG, nullable=False),
        sa.Column("n_energy", sa.Integer, nullable=False),
        sa.Column("n_forces", sa.Integer, nullable=False),
        sa.Column("n_stress", sa.Integer, nullable=False),
        sa.Column("elements", sa.JSON, nullable=False),
        sa.Column("groups", sa.JSON, nullable=False),
        sa.Column("splits", sa.JSON, nullable=False),
        sa.Column("levels_of_theory", sa.JSON, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("created_by", sa.String(80), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.UniqueConstraint("dataset_id", "version"),
    )
    op.create_table(
        "dataset_member",
        sa.Column("version_id", sa.Integer, sa.ForeignKey("dataset_version.id"), primary_key=True, autoincrement=False),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("structure_id", BIG, sa.ForeignKey("structure.id"), nullable=False, index=True),
        sa.Column("label_id", BIG, sa.ForeignKey("label.id"), nullable=False),
        sa.Column("group", sa.Text, nullable=False),
        sa.Column("split", sa.String(12), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "mark",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("dataset_id", sa.Integer, sa.ForeignKey("dataset.id"), nullable=False),
        sa.Column("structure_id", BIG, sa.ForeignKey("structure.id"), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("value", sa.String(80), nullable=False),
        sa.Column("present", sa.Boolean, nullable=False),
        sa.Column("batch", sa.String(32), nullable=False, index=True),
        sa.Column("by", sa.String(80), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Index("ix_mark_dataset_structure", "dataset_id", "structure_id"),
        sa.Index("ix_mark_dataset", "dataset_id", "id"),
    )
    op.create_table(
        "selection",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("version_id", sa.Integer, sa.ForeignKey("dataset_version.id"), nullable=False),
        sa.Column("rule", sa.JSON, nullable=False),
        sa.Column("positions", sa.LargeBinary, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("created_by", sa.String(80), nullable=False),
        sa.Column("created", TIME, nullable=False),
    )
    op.create_table(
        "upload",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("added_by", sa.String(80), nullable=False),
        sa.Column("added", TIME, nullable=False),
    )
    op.create_table(
        "job",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("queue", sa.String(20), nullable=False),
        sa.Column("state", sa.String(12), nullable=False, index=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("starts", sa.Integer, nullable=False),
        sa.Column("progress", sa.Float, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("recipe", sa.JSON, nullable=False),
        sa.Column("result", sa.JSON),
        sa.Column("error", sa.JSON),
        sa.Column("after_id", sa.Integer, sa.ForeignKey("job.id")),
        sa.Column("version_id", sa.Integer, sa.ForeignKey("dataset_version.id"), index=True),
        sa.Column("created_by", sa.String(80), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("started", TIME),
        sa.Column("finished", TIME),
    )
    op.create_table(
        "job_metric",
        sa.Column("job_id", sa.Integer, sa.ForeignKey("job.id"), primary_key=True, autoincrement=False),
        sa.Column("step", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(60), primary_key=True),
        sa.Column("value", sa.Float, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "job_log",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("job_id", sa.Integer, sa.ForeignKey("job.id"), nullable=False, index=True),
        sa.Column("at", TIME, nullable=False),
        sa.Column("line", sa.Text, nullable=False),
    )
    op.create_table(
        "job_checkpoint",
        sa.Column("job_id", sa.Integer, sa.ForeignKey("job.id"), primary_key=True, autoincrement=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "worker",
        sa.Column("executor_id", sa.String(120), primary_key=True),
        sa.Column("host", sa.String(250), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("queues", sa.JSON, nullable=False),
        sa.Column("device", sa.String(120), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("started", TIME, nullable=False),
        sa.Column("beat", sa.Float, nullable=False),
    )
    op.create_table(
        "run_lock",
        sa.Column("job_id", sa.Integer, sa.ForeignKey("job.id"), primary_key=True, autoincrement=False),
        sa.Column("executor_id", sa.String(120), nullable=False),
        sa.Column("token", sa.String(64), nullable=False),
    )
    op.create_table(
        "artifact",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("key", sa.String(32), nullable=False, unique=True),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("recipe", sa.JSON, nullable=False),
        sa.Column("summary", sa.JSON, nullable=False),
        sa.Column("version_id", sa.Integer, sa.ForeignKey("dataset_version.id"), nullable=False, index=True),
        sa.Column("parent_id", sa.Integer, sa.ForeignKey("artifact.id"), index=True),
        sa.Column("job_id", sa.Integer, sa.ForeignKey("job.id")),
        sa.Column("created_by", sa.String(80), nullable=False),
        sa.Column("created", TIME, nullable=False),
    )
    op.create_table(
        "artifact_column",
        sa.Column("artifact_id", sa.Integer, sa.ForeignKey("artifact.id"), primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(60), primary_key=True),
        sa.Column("chunk", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("dtype", sa.String(8), nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "artifact_file",
        sa.Column("artifact_id", sa.Integer, sa.ForeignKey("artifact.id"), primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(120), primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        # Thermal positions and weights do not compress: trying costs time and saves nothing.
        for table, column in RAW:
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTERNAL")


def downgrade() -> None:
    for name in reversed(TABLES.split()):
        op.drop_table(name)
