"""The learner's `src/`: moving it between lessons without ever losing a byte, and the record of what is done.

`.saved/NNN/` holds `src/` as it was before the NNN-th change. A copy is complete before the first file of `src/` is touched,
so after a stop at any moment every byte is in `src/` or in the newest copy.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workshop import lessons
from workshop.errors import UserError
from workshop.lessons import Lesson

# What an app makes while it runs: never part of a lesson, never moved.
RUNTIME = ("instance", "__pycache__", ".venv", "venv", ".pytest_cache")


class WorkspaceError(UserError):
    """`src/` cannot be moved. The message says why, and where everything is."""


def is_runtime(path: Path) -> bool:
    """Whether a path below `src/` is made by a running app (database, caches, logs) and not by the learner."""
    return any(part in RUNTIME for part in path.parts) or path.suffix in (".log", ".pyc")


def files(folder: Path) -> Iterator[Path]:
    """The learner's files below a folder, relative to it; a symbolic link counts as a file and is not followed."""
    for directory, names, found in os.walk(folder):
        here = Path(directory)
        links = [name for name in names if (here / name).is_symlink()]
        names[:] = sorted(n for n in names if n not in links and not is_runtime((here / n).relative_to(folder)))
        for name in sorted(found + links):
            path = (here / name).relative_to(folder)
            if not is_runtime(path):
                yield path


class Workspace:
    """`src/` and `.saved/` of one repository."""

    def __init__(self, root: Path = lessons.ROOT):
        self.root, self.src, self.saved = root, root / "src", root / ".saved"

    def start(self, lesson: Lesson) -> Path | None:
        """Make `src/` what it is when the lesson begins. Returns the folder that keeps what was there."""
        return self._become(lessons.replay(lesson, end=False), lesson.name)

    def solve(self, lesson: Lesson) -> Path | None:
        """Make `src/` what it is when the lesson ends. Returns the folder that keeps what was there."""
        return self._become(lessons.replay(lesson, end=True), lesson.name)

    def undo(self) -> tuple[Path, Path | None]:
        """Put the newest copy back and keep what is there now, so that a second `undo` takes the first one back.

        Returns the folder put back and the new copy. Raises WorkspaceError when nothing was saved yet."""
        with self._locked():
            copies = self.copies()
            if not copies:
                raise WorkspaceError("nothing to undo: `workshop start` and `workshop solve` have not changed src/ yet")
            newest = copies[-1]
            kept = self._save()
            self._write(newest, kept)
            return newest, kept

    def copies(self) -> list[Path]:
        """The complete copies of earlier work, oldest first."""
        found = self.saved.iterdir() if self.saved.is_dir() else []
        return sorted((p for p in found if p.is_dir() and p.name.isdigit()), key=lambda p: int(p.name))

    def differences(self, state: dict[str, bytes]) -> dict[str, tuple[bytes | None, bytes | None]]:
        """Where `src/` and a lesson's files differ: `{path: (in src/, in the lesson)}`, None for a missing file."""
        mine = {path.as_posix(): _read(self.src / path) for path in files(self.src)}
        return {
            path: (mine.get(path), state.get(path))
            for path in sorted({*mine, *state})
            if mine.get(path) != state.get(path)
        }

    def progress(self) -> dict:
        """What is done: `{"current": lesson or None, "done": [lessons in the order of finishing]}`."""
        try:
            found = json.loads((self.saved / "progress.json").read_text(encoding="utf-8"))
            return {"current": found.get("current"), "done": list(found.get("done", []))}
        except (OSError, ValueError, AttributeError, TypeError):
            return {"current": None, "done": []}

    def mark_done(self, lesson: Lesson) -> None:
        """Record a green check. Counts only once a learner has begun with `workshop start`."""
        with self._locked():
            progress = self.progress()
            if progress["current"] and lesson.name not in progress["done"]:
                self._record({**progress, "done": [*progress["done"], lesson.name]})

    def _become(self, state: dict[str, bytes], name: str) -> Path | None:
        with self._locked():
            kept = None
            if self.differences(state):
                kept = self._save()
                fresh = self.saved / "next"
                _remove(fresh)
                for path, data in state.items():
                    (fresh / path).parent.mkdir(parents=True, exist_ok=True)
                    (fresh / path).write_bytes(data)
                self._write(fresh, kept)
                _remove(fresh)
            self._record({**self.progress(), "current": name})
            return kept

    def _save(self) -> Path:
        """Copy `src/` to the next number. The copy bears its number only when it is complete and on the disk."""
        number = int(self.copies()[-1].name) + 1 if self.copies() else 1
        partial, complete = self.saved / "partial", self.saved / f"{number:03}"
        try:
            _remove(partial)
            partial.mkdir(parents=True)
            for path in files(self.src):
                target = partial / path
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self.src / path, target, follow_symlinks=False)
                if not target.is_symlink():
                    _sync(target)
            _sync(partial)
            partial.rename(complete)
            _sync(self.saved)
        except (OSError, shutil.Error) as error:
            _remove(partial, quietly=True)
            raise WorkspaceError(f"src/ was not changed: {_reason(error, self.root)}") from None
        return complete

    def _write(self, source: Path, kept: Path) -> None:
        """Make `src/` hold what `source` holds, file by file: a terminal or server standing in it survives."""
        try:
            wanted = list(files(source))
            for path in [p for p in files(self.src) if p not in wanted]:
                (self.src / path).unlink()
                _remove_empty(self.src / path.parent, self.src)
            for path in wanted:
                target = self.src / path
                target.parent.mkdir(parents=True, exist_ok=True)
                if target.is_dir() and not target.is_symlink():
                    _remove_empty(target, self.src)
                if _same(source / path, target):
                    continue
                partial = target.with_name(target.name + ".partial")
                shutil.copy2(source / path, partial, follow_symlinks=False)
                os.replace(partial, target)
        except (OSError, shutil.Error) as error:
            where = kept.relative_to(self.root)
            raise WorkspaceError(
                f"src/ is only partly changed: {_reason(error, self.root)}\n"
                f"All that you had is in {where}/. Mend the cause, then `workshop undo` brings it back."
            ) from None

    def _record(self, progress: dict) -> None:
        partial = self.saved / "progress.partial"
        try:
            partial.write_text(json.dumps(progress, indent=1), encoding="utf-8")
            os.replace(partial, self.saved / "progress.json")
        except OSError as error:
            raise WorkspaceError(f"your progress was not recorded: {_reason(error, self.root)}") from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One command at a time moves `src/`; a second one waits for the first."""
        try:
            self.saved.mkdir(exist_ok=True)
            lock = open(self.saved / "lock", "a")
        except OSError as error:
            raise WorkspaceError(f"src/ was not changed: {_reason(error, self.root)}") from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _reason(error: Exception, root: Path) -> str:
    """An error of the operating system as a sentence that names the file and says what to do."""
    if isinstance(error, shutil.Error) or not isinstance(error, OSError):
        return str(error)
    path = os.path.relpath(error.filename, root) if error.filename else "a file"
    cures = {
        errno.ENOSPC: "the disk is full; free some space",
        errno.EDQUOT: "your disk quota is used up; free some space",
        errno.EROFS: "this folder is read-only; clone the repository where you may write",
        errno.EACCES: f"you may not read or write it; `ls -l {path}` shows whose it is, `chmod u+rw {path}` may mend it",
        errno.EPERM: f"you may not change it; `ls -l {path}` shows whose it is",
    }
    return f"{path}: {cures.get(error.errno, error.strerror)}"


def _read(path: Path) -> bytes:
    if path.is_symlink():
        return os.fsencode(os.readlink(path))
    if not stat.S_ISREG(path.stat().st_mode):
        raise WorkspaceError(f"src/ was not changed: {path.name} is no ordinary file; move it out of src/")
    try:
        return path.read_bytes()
    except OSError as error:
        raise WorkspaceError(f"src/ was not changed: {_reason(error, path.parent)}") from None


def _same(one: Path, other: Path) -> bool:
    if one.is_symlink() or other.is_symlink():
        return one.is_symlink() and other.is_symlink() and os.readlink(one) == os.readlink(other)
    return other.is_file() and one.read_bytes() == other.read_bytes()


def _remove(folder: Path, quietly: bool = False) -> None:
    if folder.exists():
        shutil.rmtree(folder, ignore_errors=quietly)


def _remove_empty(folder: Path, top: Path) -> None:
    while folder != top and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
