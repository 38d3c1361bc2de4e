"""What the app keeps."""

from datetime import datetime, timezone

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import DateTime, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """What all tables have in common."""


db = SQLAlchemy(model_class=Base)


def now() -> datetime:
    """The time, the same wherever the server stands."""
    return datetime.now(timezone.utc)


class Task(db.Model):
    """One thing to do. It is done when it has a time at which it was done."""

    # Never give the id of a deleted task to a new one: an old page in another tab would tick off the wrong task.
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(String(256))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now)
    done_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
