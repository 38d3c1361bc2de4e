"""Does the app run in an environment with the packages that the lessons so far ask for?"""

from __future__ import annotations

import re

from workshop.diagnosis.facts import Diagnosis, Facts


def not_active(f: Facts) -> Diagnosis | None:
    said = re.search(r"([\w./-]+): (?:command )?not found|No module named '?(\w+)'?", f.output)
    if f.listened or not f.inactive or not said:
        return None
    return Diagnosis(
        "not-active",
        f"{said[0]}\n{f.inactive}/bin has it, and your shell does not look there",
        f"a shell in which {f.inactive} is active",
        "the check starts the app as your shell does, and the packages of the workshop lie in an environment of their own",
        f"run `source {f.inactive}/bin/activate`, then check again",
        "300/100",
    )


def missing_package(f: Facts) -> Diagnosis | None:
    """A package of the lessons so far is not there, or is of another release train; looked at where something is missing."""
    at_fault = f.missing if f.listened else re.search("ModuleNotFoundError|ImportError", f.output)
    if not at_fault or f.makes_environment:
        return None
    packages = f.packages()
    absent = [name for name in packages.absent if f.listened or _brings(name, f.output)]
    drifted = [name for name in packages.drifted if name.startswith("opentelemetry-")]
    if not packages.installed or not (absent or drifted):
        return None
    wrong = (absent or drifted)[:3]
    more = len(absent or drifted) - len(wrong)
    file = packages.by.get(wrong[0], "")
    return Diagnosis(
        "missing-package" if absent else "two-trains",
        ", ".join(f"{name} {packages.installed.get(name, 'is not installed')}" for name in wrong)
        + (f", {more} more" if more else ""),
        ", ".join(f"{name} {packages.pinned[name]}" for name in wrong),
        "what is not installed cannot be imported, and watches nothing"
        if absent
        else "the packages of OpenTelemetry are released together, 1.N with 0.(N+21)b; of two releases one may not fit the other",
        f"run `{packages.cure(wrong[0])}`",
        file.rpartition("/")[0] or "300/100",
    )


def no_package_that_watches(f: Facts) -> Diagnosis | None:
    """As `missing_package`, where requests have no span. One that has is watched, and may be lost on its way."""
    return None if all(f.spans_of(response) for response in f.asked) else missing_package(f)


def _brings(package: str, output: str) -> bool:
    """Whether the module that an app did not find is one of a package, going by the names."""
    missing = re.search(r"No module named '([\w.]+)'", output)
    plain = lambda name: re.sub(r"[-_.]", "", name).lower()  # noqa: E731
    return bool(missing) and (plain(missing[1]) in plain(package) or plain(package) in plain(missing[1]))
