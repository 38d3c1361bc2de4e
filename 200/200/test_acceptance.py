"""The stories run as tests: every one is red for an app that only says hello, and green for the finished one.

This lesson changes nothing in `src/`. Before it, the check sees only the first half.
"""

import pytest

from workshop.checks.sandbox import START


@pytest.mark.before("stories-red")
def test_every_story_is_red_for_the_empty_app_and_green_for_the_finished_one(checkpoint):
    empty = checkpoint.run("pytest 200/200/stories.py --at start", folder=checkpoint.lesson.root)
    assert empty.exit_code == 1 and " passed" not in empty.output
    finished = (
        empty if checkpoint.at == START else checkpoint.run("pytest 200/200/stories.py --at end", folder=checkpoint.lesson.root)
    )
    checkpoint.must(
        finished.exit_code == 0,
        "stories-red",
        seen=finished.output.strip().splitlines()[-1],
        expected="every story green",
        why="an app that only says hello does nothing for anybody yet",
    )
