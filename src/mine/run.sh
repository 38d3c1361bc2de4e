export OTEL_SERVICE_NAME=mine
export OTEL_SEMCONV_STABILITY_OPT_IN=http,database
export OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=sqlalchemy,system_metrics

opentelemetry-instrument gunicorn -b 127.0.0.1:5001 wsgi:app
