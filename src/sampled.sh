export OTEL_TRACES_SAMPLER=keep_writes
export OTEL_TRACES_SAMPLER_ARG=0.1
sh run.sh
