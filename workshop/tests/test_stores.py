"""A store that is broken is told in the program's own words, with the command that tries again, and nothing stays behind."""

from __future__ import annotations

import pytest

from workshop.programs import methods
from workshop.programs.instance import NotReady
from workshop.programs.lifecycle import start
from workshop.programs.program import find


@pytest.mark.parametrize(
    "name, place, words",
    [
        ("prometheus", "wal", "wal: not a directory"),
        ("prometheus", "lock", "is a directory"),
        ("logs", "partitions", "not a directory"),
        ("logs", "flock.lock", "is a directory"),
    ],
)
def test_a_broken_store_is_told_in_the_programs_own_words(brought, tmp_path, name: str, place: str, words: str):
    brought(name)
    broken = tmp_path / f"{name}-data" / place
    if "not a" in words:
        broken.parent.mkdir()
        broken.write_text("no folder")
    else:
        broken.mkdir(parents=True)
    with pytest.raises(NotReady, match=words):
        start(find(name), methods.at_hand(find(name)), tmp_path)


@pytest.mark.parametrize("name", ["prometheus", "logs"])
def test_a_folder_in_which_nobody_may_write_is_told_in_the_programs_own_words(brought, tmp_path, name: str):
    brought(name)
    (tmp_path / f"{name}-data").symlink_to("/sys/kernel")  # read-only, or closed even to root
    with pytest.raises(NotReady, match="(?i)read-only file system|permission denied|not permitted"):
        start(find(name), methods.at_hand(find(name)), tmp_path)
