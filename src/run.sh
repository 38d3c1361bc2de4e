export OTEL_SERVICE_NAME=todo
export OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=workshop
export OTEL_TRACES_EXPORTER=console,otlp
export OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:5318
export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
export OTEL_METRICS_EXPORTER=console,otlp
export OTEL_METRIC_EXPORT_INTERVAL=${OTEL_METRIC_EXPORT_INTERVAL:-5000}
export OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED=true
export OTEL_LOGS_EXPORTER=console,otlp
export OTEL_SEMCONV_STABILITY_OPT_IN=${OTEL_SEMCONV_STABILITY_OPT_IN:-http/dup,database/dup}
export OTEL_PYTHON_FLASK_EXCLUDED_URLS='/health(\?.*)?$'
export OTEL_PYTHON_SYSTEM_METRICS_EXCLUDED_METRICS='system.*,process.runtime.*'

${AGENT-opentelemetry-instrument} ${SERVER-flask run -p 5001} | tee -i output.log
