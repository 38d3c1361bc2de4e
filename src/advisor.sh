export OTEL_SERVICE_NAME=advisor
export OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=workshop
export OTEL_TRACES_EXPORTER=console,otlp
export OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:5318
export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
export OTEL_METRICS_EXPORTER=none
export OTEL_LOGS_EXPORTER=none
export OTEL_SEMCONV_STABILITY_OPT_IN=http
export OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST=traceparent,baggage

opentelemetry-instrument flask --app advisor run -p 5002 | tee -i advisor.log
