"""Virtual environments of pinned packages, kept in the user's cache: for lessons that need more, and for releases of other times."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from workshop.programs import roads
from workshop.setup.environments import Progress, add_requirements, locked, make_environment


def environment_of(base: Path, *more: Path, progress: Progress) -> Path:
    """The folder of an environment with these pinned requirements and no others, made at first use.

    Raises EnvironmentFailed."""
    content = hashlib.sha256(b"\0".join(file.read_bytes() for file in (base, *more))).hexdigest()[:16]
    folder = roads.cache_folder() / "environments" / f"{sys.version_info.major}.{sys.version_info.minor}-{content}"
    with locked(folder.with_name(f"{folder.name}.lock")):
        make_environment(folder, base, progress)
        for file in more:
            add_requirements(folder, file, progress)
    return folder
