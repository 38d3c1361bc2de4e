folder=$(workshop environment 300/800/350/distro-requirements.txt) || exit 1
. "$folder/bin/activate"

export APPLICATIONINSIGHTS_CONNECTION_STRING="${APPLICATIONINSIGHTS_CONNECTION_STRING:-InstrumentationKey=b7ad6b71-6920-4331-8b27-0af7651916cd;IngestionEndpoint=http://localhost:5324/}"
export APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED=true
export APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL=true
export APPLICATIONINSIGHTS_SDKSTATS_DISABLED=true
export OTEL_EXPERIMENTAL_RESOURCE_DETECTORS=azure_app_service
export OTEL_SERVICE_NAME=todo
export OTEL_RESOURCE_ATTRIBUTES=service.namespace=workshop
export OTEL_TRACES_SAMPLER=microsoft.fixed_percentage
export OTEL_TRACES_SAMPLER_ARG=1.0

flask --app distro run -p 5001
