"""Python imports this as it starts, because a check has this folder on PYTHONPATH. It puts itself out of the way at once."""

import sys
from pathlib import Path

import workshop_observe

workshop_observe.watch()
try:
    import workshop_fence

    workshop_fence.raise_fence()
except ImportError:
    pass  # this check has none
sys.path[:] = [folder for folder in sys.path if folder != str(Path(__file__).parent)]
itself = sys.modules.pop("sitecustomize")
try:
    import sitecustomize  # noqa: F401  the one that Python would have found without a check
except ImportError:
    sys.modules["sitecustomize"] = itself
