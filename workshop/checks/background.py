"""What a checkpoint can say about work in threads of a pool, once `checkpoint.watch_threads()` has been called."""

from __future__ import annotations

import re

from workshop.diagnosis.background import cure


class Background:
    """Verbs of an app: what its threads raised, and what they left attached. `checkpoint` and `output` are the app's."""

    def raised(self, but: str = "") -> list[str]:
        """What threads have raised so far, each as `file:line: error`, without those that the check caused and that say `but`."""
        return [error for error in re.findall(r"^raised: (.*)$", self.output, re.MULTILINE) if not but or but not in error]

    def nothing_raised(self, but: str = "") -> None:
        """No thread of a pool raised anything else than `but`. Raises Broken."""
        error = next(iter(self.raised(but)), "")
        self.checkpoint.must(
            not error,
            "work-failed",
            seen=error.strip(),
            expected="threads without an error",
            why="an exception in a pool stays in its Future; the check has asked for it",
            do=cure(error) or (f"look at {error.split(': ')[0]}" if error.startswith("src/") else ""),
            lesson="300/400/400",
        )

    def nothing_left_attached(self) -> None:
        """What was attached was detached, in threads and in requests. Raises Broken."""
        left = re.search(r"^left attached: (.*)$", self.output, re.MULTILINE)
        self.checkpoint.must(
            not left,
            "left-attached",
            seen=f"when it ended, this was still attached: {left[1]}" if left else "",
            expected="the context as it was before",
            why="the thread serves others: what they do would belong to a trace that is not theirs, and take its baggage along",
            do="`token = context.attach(...)`, and `context.detach(token)` in a `finally`",
            lesson="300/400/400",
        )
