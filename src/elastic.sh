# Sends to Elastic, whose key is in instance/cloud.env and in no file that is committed.
. instance/cloud.env
export OTEL_EXPORTER_OTLP_HEADERS="Authorization=ApiKey%20$CLOUD_TOKEN"
export OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=delta
AGENT="opentelemetry-instrument --exporter_otlp_endpoint ${CLOUD_ENDPOINT:-http://localhost:5350}" sh run.sh
