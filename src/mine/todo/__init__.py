"""A to-do list."""

from flask import Flask
from flask_wtf import CSRFProtect

from todo import forms, models, startup, views


def create_app() -> Flask:
    """Make the app: its settings, its database, its pages."""
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///todo.db"
    app.config["WTF_CSRF_TIME_LIMIT"] = None  # a list stays open all day
    app.config["MAX_CONTENT_LENGTH"] = 16 * 1024
    app.config.from_prefixed_env()
    CSRFProtect(app)
    app.url_map.converters["id"] = forms.Id
    models.db.init_app(app)
    with app.app_context(), startup.one_at_a_time(app.instance_path):
        app.secret_key = app.secret_key or startup.session_key(app.instance_path)
        models.db.create_all()
    app.register_blueprint(views.bp)
    return app
