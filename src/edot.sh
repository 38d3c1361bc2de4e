# Runs elastic.sh with Elastic's distribution, in an environment that holds what these files pin and nothing else.
folder=$(workshop environment 300/800/400/edot-requirements.txt) || exit 1
. "$folder/bin/activate"
export OTEL_EXPERIMENTAL_RESOURCE_DETECTORS=process_runtime,os,telemetry_distro,service_instance,otel
sh elastic.sh
