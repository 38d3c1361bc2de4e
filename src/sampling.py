"""Which traces are kept, decided when they begin."""

from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler, SamplingResult, TraceIdRatioBased


class KeepWrites(Sampler):
    """Keeps every request that changes something, and a share of the others."""

    def __init__(self, share: float) -> None:
        self.others = TraceIdRatioBased(share)

    def should_sample(self, parent_context, trace_id, name, kind=None, attributes=None, *more, **named) -> SamplingResult:
        method = (attributes or {}).get("http.request.method", "GET")
        chosen = self.others if method in ("GET", "HEAD") else ALWAYS_ON
        return chosen.should_sample(parent_context, trace_id, name, kind, attributes, *more, **named)

    def get_description(self) -> str:
        return f"KeepWrites({self.others.rate})"


def keep_writes(argument: str) -> Sampler:
    """The sampler that OTEL_TRACES_SAMPLER names; OTEL_TRACES_SAMPLER_ARG is its argument."""
    return ParentBased(KeepWrites(float(argument)))


class Whole(Sampler):
    """Lets another sampler decide, and keeps the attributes with which a span begins."""

    def __init__(self, other: Sampler) -> None:
        self.other = other

    def should_sample(self, parent_context, trace_id, name, kind=None, attributes=None, *more, **named) -> SamplingResult:
        found = self.other.should_sample(parent_context, trace_id, name, kind, attributes, *more, **named)
        return SamplingResult(found.decision, {**(attributes or {}), **found.attributes}, found.trace_state)

    def get_description(self) -> str:
        return self.other.get_description()


def consistent(argument: str) -> Sampler:
    """A share that each kept span carries along, so that whoever counts spans can work out how many there were."""
    from opentelemetry.sdk.trace import _sampling_experimental as experimental

    share = experimental.composable_traceid_ratio_based(float(argument))
    return Whole(experimental.composite_sampler(experimental.composable_parent_threshold(share)))
