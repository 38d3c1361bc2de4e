# How many traces of the app's last run have a span with this attribute?  sh search.sh NAME VALUE
run=$(grep -o '"service.instance.id": "[^"]*"' output.log | head -n 1 | cut -d '"' -f 4)
answer=$(curl -sSG http://localhost:16686/api/traces -d service=todo \
    --data-urlencode "tags={\"service.instance.id\": \"$run\", \"$1\": \"$2\"}") || exit
printf '%s' "$answer" | python -c 'import json, sys; print("found:", len(json.load(sys.stdin)["data"]))'
