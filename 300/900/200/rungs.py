"""Did the SDK take the sampler that is named? What it said decides; without one it keeps everything."""

import re

from workshop.diagnosis.facts import Diagnosis, Facts

SAID = re.compile(r"Failed to initialize sampler, (\S*): (.*)")
BARE = re.compile(r"(Could not convert TRACES_SAMPLER_ARG to float)")
NAME, ARGUMENT = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
HERE = "300/900/200"


def unknown_sampler(f: Facts) -> Diagnosis | None:
    said = SAID.search(f.output)
    if not said or "not found in entry point" not in said[2]:
        return None
    setting = f.settings.get(NAME)
    places = [path for path in f.files if path.endswith(".dist-info/entry_points.txt")]
    near = next((path for path in f.files if "[opentelemetry_traces_sampler]" in f.files[path]), "")
    return Diagnosis(
        "unknown-sampler",
        (f"{setting.where}: {NAME}={setting.value}\n" if setting else "") + said[0],
        "a name that the SDK has, or one that an installed package brings",
        "an unknown name is no error: the SDK keeps every trace, as if none were given",
        f"let that name stand in src/{places[0]} below [opentelemetry_traces_sampler], in lower-case letters in both places"
        if places
        else f"give src/{near} the name src/sampling.dist-info/entry_points.txt: what is installed is found by it"
        if near
        else "write src/sampling.dist-info/entry_points.txt, which says where the sampler is",
        HERE,
    )


def no_sampler(f: Facts) -> Diagnosis | None:
    """Nothing is named, or the empty word: for the SDK the same, and no reason to say anything."""
    setting = f.settings.get(NAME)
    named = (
        setting.value
        if setting
        else any(re.search(r"traces_sampler\b", text, re.I) for path, text in f.files.items() if path.endswith(".sh"))
    )
    if named:
        return None
    return Diagnosis(
        "no-sampler",
        f"{setting.where}: {NAME} is empty" if setting else f"no {NAME} in src/{f.script}",
        f"{NAME}=keep_writes, without a blank before or behind the =",
        "where no sampler is named, the SDK keeps every trace",
        f"write `export {NAME}=keep_writes` in {setting.where if setting else f'src/{f.script}'}",
        HERE,
    )


def sampler_argument(f: Facts) -> Diagnosis | None:
    said = SAID.search(f.output)
    about = said and re.search(r"float\(\)|convert string to float|must be in range|must be between", said[2])
    if not about and not BARE.search(f.output):
        return None
    setting = f.settings.get(ARGUMENT)
    return Diagnosis(
        "sampler-argument",
        (f"{setting.where}: {ARGUMENT}={setting.value}" if setting else f"no {ARGUMENT} in src/{f.script}")
        + f"\n{(said or BARE.search(f.output))[0]}",
        "a share from 0 to 1, such as 0.1",
        "an argument that is none is no error: the SDK keeps every trace",
        f"write `export {ARGUMENT}=0.1` in {setting.where if setting else f'src/{f.script}'}",
        HERE,
    )


def broken_sampler(f: Facts) -> Diagnosis | None:
    said = SAID.search(f.output)
    if not said:
        return None
    return Diagnosis(
        "broken-sampler",
        said[0],
        "a function or class that takes the argument as text, and returns a sampler",
        "the SDK has found the entry point, and what it names made no sampler; so it keeps every trace",
        "look at what src/sampling.dist-info/entry_points.txt names after the =, and at what that returns",
        HERE,
    )


SAMPLING = unknown_sampler, no_sampler, sampler_argument, broken_sampler
