export OTEL_SERVICE_NAME=todo
export OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:5318
export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
export OTEL_TRACES_EXPORTER=none
export OTEL_METRICS_EXPORTER=none
export OTEL_LOGS_EXPORTER=none
agent=opentelemetry-instrument
app='wsgi:app'

case $1 in
    off) agent= ;;
    agent) ;;
    code) agent= app='in_code:make("batch")' ;;
    simple) agent= app='in_code:make("simple")' ;;
    console) export OTEL_TRACES_EXPORTER=console ;;
    otlp) export OTEL_TRACES_EXPORTER=otlp ;;
    all)
        export OTEL_TRACES_EXPORTER=otlp OTEL_METRICS_EXPORTER=otlp OTEL_LOGS_EXPORTER=otlp
        export OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED=true
        export OTEL_BSP_MAX_QUEUE_SIZE=10000 OTEL_EXPORTER_OTLP_TIMEOUT=40
        ;;
esac

exec $agent gunicorn --no-control-socket --threads 4 --bind 127.0.0.1:5001 "$app"
