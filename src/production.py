"""What gunicorn serves. Each worker imports it, and so has telemetry of its own."""

from opentelemetry.instrumentation.auto_instrumentation import initialize

initialize()

from werkzeug.middleware.proxy_fix import ProxyFix

from wsgi import app

app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1)
