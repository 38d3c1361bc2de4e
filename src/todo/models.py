"""What the app keeps."""

from datetime import datetime, timezone

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import DateTime, ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """What all tables have in common."""


db = SQLAlchemy(model_class=Base)


def now() -> datetime:
    """The time, the same wherever the server stands."""
    return datetime.now(timezone.utc)


def seconds_since(time: datetime) -> float:
    """How long ago a time was that the table has kept."""
    return (now() - time.replace(tzinfo=timezone.utc)).total_seconds()


class Task(db.Model):
    """One thing to do. It is done when it has a time at which it was done."""

    # Never give the id of a deleted task to a new one: an old page in another tab would tick off the wrong task.
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(String(256))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now)
    done_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    steps: Mapped[list["Step"]] = relationship(order_by="Step.id")


class Step(db.Model):
    """One part of a task."""

    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey(Task.id), index=True)
    text: Mapped[str] = mapped_column(String(256))
    done_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
