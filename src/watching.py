"""Say of each instrumentation that is installed whether it watches anything here."""

from importlib.metadata import entry_points

from opentelemetry.instrumentation.dependencies import get_dist_dependency_conflicts

failed = False
for entry in entry_points(group="opentelemetry_instrumentor"):
    if conflict := get_dist_dependency_conflicts(entry.dist):
        print(f"{entry.name}: nothing to watch: {conflict}")
        continue
    try:
        entry.load()
    except Exception as error:  # whatever it is, your app would run on unwatched
        print(f"{entry.name}: cannot be loaded: {error}")
        failed = True
    else:
        print(f"{entry.name}: watches")

raise SystemExit(failed)
