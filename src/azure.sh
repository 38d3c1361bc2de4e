export APPLICATIONINSIGHTS_CONNECTION_STRING="${APPLICATIONINSIGHTS_CONNECTION_STRING:-InstrumentationKey=b7ad6b71-6920-4331-8b27-0af7651916cd;IngestionEndpoint=http://localhost:5324/}"
export APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED=true
export APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL=true
export APPLICATIONINSIGHTS_SDKSTATS_DISABLED=true
export OTEL_SERVICE_NAME=todo
export OTEL_RESOURCE_ATTRIBUTES=service.namespace=workshop,service.version=1.0
export OTEL_TRACES_EXPORTER=console,azure_monitor_opentelemetry_exporter
export OTEL_METRICS_EXPORTER=azure_monitor_opentelemetry_exporter
export OTEL_LOGS_EXPORTER=azure_monitor_opentelemetry_exporter
export OTEL_METRIC_EXPORT_INTERVAL=${OTEL_METRIC_EXPORT_INTERVAL:-5000}
export OTEL_SEMCONV_STABILITY_OPT_IN=http,database
export OTEL_PYTHON_FLASK_EXCLUDED_URLS='/health(\?.*)?$'
export OTEL_PYTHON_SYSTEM_METRICS_EXCLUDED_METRICS='system.*,process.runtime.*'

opentelemetry-instrument flask run -p 5001 | tee -i output.log
