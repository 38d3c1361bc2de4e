export OTEL_CONFIG_FILE=otel/sdk.yaml
export OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED=true
export OTEL_SEMCONV_STABILITY_OPT_IN=http/dup,database/dup
export OTEL_PYTHON_FLASK_EXCLUDED_URLS='/health(\?.*)?$'
export OTEL_PYTHON_SYSTEM_METRICS_EXCLUDED_METRICS='system.*,process.runtime.*'

opentelemetry-instrument flask run -p 5001 | tee -i output.log
