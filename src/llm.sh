# The advisor, with a language model to ask.
folder=$(workshop environment 300/800/500/llm-requirements.txt) || exit 1
. "$folder/bin/activate"

export ADVISOR_MODEL=${ADVISOR_MODEL:-parrot}
export ADVISOR_SECONDS=${ADVISOR_SECONDS:-0.8}
export OTEL_SERVICE_NAME=advisor
export OTEL_TRACES_EXPORTER=console,otlp
export OTEL_METRICS_EXPORTER=console,otlp
export OTEL_METRIC_EXPORT_INTERVAL=${OTEL_METRIC_EXPORT_INTERVAL:-5000}
export OTEL_LOGS_EXPORTER=none
export TRACELOOP_TRACE_CONTENT=false
export OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:5318
export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
export OTEL_SEMCONV_STABILITY_OPT_IN=http

opentelemetry-instrument flask --app advisor.model run -p 5002 | tee -i advisor.log
