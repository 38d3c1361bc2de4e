"""A to-do list."""

from flask import Flask
from flask_wtf import CSRFProtect

from todo import forms, imports, logs, models, startup, views
from todo.metrics import watch_open_tasks
from todo.tracing import hand_out_trace_id


def create_app() -> Flask:
    """Make the app: its settings, its database, its pages."""
    logs.set_up()
    app = Flask(__name__)
    app.before_request(logs.begin)
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///todo.db"
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"hide_parameters": True}
    app.config["WTF_CSRF_TIME_LIMIT"] = None  # a list stays open all day
    app.config["MAX_CONTENT_LENGTH"] = 16 * 1024
    app.config["ADVISOR_URL"] = "http://localhost:5002"
    app.config.from_prefixed_env()
    CSRFProtect(app)
    app.url_map.converters["id"] = forms.Id
    models.db.init_app(app)
    with app.app_context(), startup.one_at_a_time(app.instance_path):
        app.secret_key = app.secret_key or startup.session_key(app.instance_path)
        models.db.create_all()
    app.register_blueprint(views.bp)
    app.register_blueprint(imports.bp)
    watch_open_tasks(app)
    app.after_request(hand_out_trace_id)
    app.after_request(logs.tell)
    return app
