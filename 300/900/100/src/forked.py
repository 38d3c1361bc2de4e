"""Fork as gunicorn's first process does, between two exports of its metrics and during one; what becomes of the child's?"""

import os
import time
from threading import Event

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, PeriodicExportingMetricReader

PARENT = os.getpid()
exporting, go_on = Event(), Event()
exports = 0


class Exporter(MetricExporter):
    def export(self, *_: object, **__: object) -> MetricExportResult:
        global exports
        exports += 1
        if os.getpid() == PARENT:
            exporting.set()
            go_on.wait()
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 0) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 0, **_: object) -> None:
        pass


def fork(when: str) -> None:
    global exports
    exports = 0
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    requests.add(1)
    begun = time.monotonic()
    provider.shutdown(timeout_millis=1000)
    print(f"{when}: {exports} of 1 exported, stopped after {time.monotonic() - begun:.0f} of 1 s", flush=True)
    os._exit(0)


reader = PeriodicExportingMetricReader(Exporter(), export_interval_millis=500)
provider = MeterProvider([reader], shutdown_on_exit=False)
requests = provider.get_meter("forked").create_counter("requests")
requests.add(1)
fork("a child forked between two exports")
exporting.wait()
fork("a child forked during an export")
go_on.set()
