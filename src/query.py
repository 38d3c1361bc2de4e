"""Ask the database one thing, through SQLAlchemy."""

import os

from sqlalchemy import create_engine, text

with create_engine(os.environ["DATABASE"]).connect() as connection:
    connection.execute(text("SELECT 1"))
