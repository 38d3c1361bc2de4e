URL=$(python -W ignore database.py) || exit 1
export FLASK_SQLALCHEMY_DATABASE_URI=$URL
export FLASK_SQLALCHEMY_ENGINE_OPTIONS='{"hide_parameters": true, "pool_pre_ping": true}'
export OTEL_SERVICE_NAME=todo
export OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:5318
export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
export OTEL_TRACES_EXPORTER=otlp OTEL_METRICS_EXPORTER=none OTEL_LOGS_EXPORTER=none
export OTEL_BSP_SCHEDULE_DELAY=500
export OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=psycopg

exec gunicorn -w 2 -b 127.0.0.1:5001 production:app
