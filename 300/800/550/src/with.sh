# Runs a command in one of the environments of 300/800/550: sh with.sh NAME COMMAND …
folder=$(workshop environment 300/800/550/$1-requirements.txt) || exit 1
. "$folder/bin/activate"
shift

export OTEL_TRACES_EXPORTER=console
export OTEL_METRICS_EXPORTER=${OTEL_METRICS_EXPORTER:-none}
export OTEL_LOGS_EXPORTER=none

exec "$@"
