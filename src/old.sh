# Serves old/$1.py with the releases of December 2024, in an environment that holds nothing else.
folder=$(workshop environment 300/400/600/old-requirements.txt) || exit 1
. "$folder/bin/activate"

export OTEL_SERVICE_NAME=$1
export OTEL_TRACES_EXPORTER=console
export OTEL_METRICS_EXPORTER=none
export OTEL_LOGS_EXPORTER=none

opentelemetry-instrument flask --app old/$1.py run -p 5001 | tee -i $1.log
