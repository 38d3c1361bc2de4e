"""The learner's `src/`: moving it between lessons without ever losing a byte, and the record of what is done.

`.saved/NNN/` holds `src/` as it was before the NNN-th change. A copy is complete before the first file of `src/` is
touched, so after a stop at any moment every byte is in `src/` or in a copy. `.saved/undo` names the copy that `undo`
puts back; it moves on before `start` and `solve` touch `src/`, and after `undo` did: `undo` mends what a stop left.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from workshop.course import lessons
from workshop.course.lessons import Lesson
from workshop.course.replay import replay
from workshop.errors import UserError
from workshop.setup.cache import locked, write_whole

# What an app makes while it runs: never part of a lesson, never moved.
RUNTIME = ("instance", "__pycache__", ".venv", "venv", ".pytest_cache", ".DS_Store")


@dataclass(frozen=True)
class Proof:
    """When a lesson's checks were green first, as a date and time in UTC (ISO 8601), and a trace that they looked at. Either may be empty."""

    at: str = ""
    trace: str = ""


class WorkspaceError(UserError):
    """`src/` cannot be moved. The message says why, and where everything is."""


def is_runtime(path: Path) -> bool:
    """Whether a path below `src/` is made by a running app (database, caches, logs) and not by the learner."""
    return any(part in RUNTIME for part in path.parts) or path.suffix in (".log", ".pyc")


def files(folder: Path) -> Iterator[Path]:
    """The learner's files below a folder, relative to it; a symbolic link counts as a file and is not followed.

    Raises WorkspaceError for a folder that cannot be read: what is in it could not be kept."""

    def unreadable(error: OSError) -> None:
        raise WorkspaceError(f"nothing was changed: {_reason(error, folder.parent)}")

    for directory, names, found in os.walk(folder, onerror=unreadable) if folder.exists() else ():
        here = Path(directory)
        links = [name for name in names if os.path.islink(here / name)]
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
        return self._become(replay(lesson, end=False), lesson.name)

    def solve(self, lesson: Lesson) -> Path | None:
        """Make `src/` what it is when the lesson ends. Returns the folder that keeps what was there."""
        return self._become(replay(lesson, end=True), lesson.name)

    def go_on(self, lesson: Lesson) -> Path | None:
        """Begin the lesson with `src/` as it is, and add only what the lesson hands over. Returns as `start` does."""
        given = lesson.folder / "src"
        return self.change({path.as_posix(): (given / path).read_bytes() for path in files(given)}, lesson.name)

    def change(self, state: dict[str, bytes], name: str) -> Path | None:
        """Change or add these files of `src/`, in the lesson of this name, and leave all others. Returns as `start` does."""
        return self._become(state, name, and_nothing_else=False)

    def undo(self) -> tuple[Path, Path]:
        """Put the newest copy back and keep what is there now, so that a second `undo` takes the first one back.

        Returns the folder put back and the new copy. Raises WorkspaceError when nothing was saved yet."""
        with self._locked():
            back = self._undoable()
            kept = self._save()
            self._write(back, kept)
            self._put("undo", kept.name)
            return back, kept

    def copies(self) -> list[Path]:
        """The complete copies of earlier work, oldest first."""
        found = self.saved.iterdir() if self.saved.is_dir() else []
        return sorted((p for p in found if p.is_dir() and p.name.isdecimal()), key=lambda p: int(p.name))

    def differences(self, state: dict[str, bytes]) -> dict[str, tuple[bytes | None, bytes | None]]:
        """Where `src/` and a lesson's files differ: `{path: (in src/, in the lesson)}`, None for a missing file.

        Raises WorkspaceError for what cannot be read."""
        mine = {path.as_posix(): self._read(path) for path in files(self.src)}
        return {
            path: (mine.get(path), state.get(path)) for path in sorted({*mine, *state}) if mine.get(path) != state.get(path)
        }

    def progress(self) -> dict:
        """What is done: `{"current": lesson or None, "done": [lessons in the order of finishing]}`."""
        found = self._kept()
        try:
            return {"current": found.get("current"), "done": list(found.get("done", []))}
        except TypeError:
            return {"current": None, "done": []}

    def proofs(self) -> dict[str, Proof]:
        """When each lesson was green for the first time, as far as that is known, and the trace by which a check proved it."""
        found = self._kept().get("proofs")
        kept = {name: proof for name, proof in found.items() if isinstance(proof, dict)} if isinstance(found, dict) else {}
        known = ((name, kept.get(name, {})) for name in self.progress()["done"])
        return {name: Proof(str(proof.get("at", "")), str(proof.get("trace", ""))) for name, proof in known}

    def exported(self) -> str:
        """What is done as one line of JSON, for who looks after a class. It holds no name and no path."""
        progress, everything = self.progress(), lessons.lessons(self.root)
        done = [lesson.name for lesson in everything if lesson.name in progress["done"]]
        left = sum(lesson.minutes for lesson in everything if lesson.name not in done)
        return json.dumps({"done": done, "current": progress["current"], "of": len(everything), "minutes_left": left})

    def mark_done(self, lesson: Lesson, trace_id: str = "") -> None:
        """Record a green check. Counts only once a learner has begun with `workshop start`."""
        if not self.progress()["current"]:
            return
        with self._locked():
            done, proofs = self.progress()["done"], self.proofs()
            if lesson.name not in done:
                proofs[lesson.name] = Proof(datetime.now(timezone.utc).isoformat(timespec="seconds"), trace_id)
                self._record(done=[*done, lesson.name], proofs={name: asdict(proof) for name, proof in proofs.items()})

    def _become(self, state: dict[str, bytes], name: str, and_nothing_else: bool = True) -> Path | None:
        with self._locked():
            kept = None
            if any(and_nothing_else or path in state for path in self.differences(state)):
                fresh = self.saved / "next"
                try:
                    with self._before_src():
                        _fill(fresh, state)
                        kept = self._save()
                        self._put("undo", kept.name)
                    self._write(fresh, kept, and_nothing_else)
                finally:
                    _remove(fresh)
            self._record(current=name)
            return kept

    def _undoable(self) -> Path:
        """The copy that `undo` puts back: the one that the last change wrote down, else the newest."""
        copies = self.copies()
        if not copies:
            raise WorkspaceError("nothing to undo: `workshop start` and `workshop solve` have not changed src/ yet")
        try:
            noted = (self.saved / "undo").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            noted = ""
        return next((copy for copy in copies if copy.name == noted), copies[-1])

    def _save(self) -> Path:
        """Copy `src/` to the next number. The copy bears its number only when it is complete and on the disk."""
        number = int(self.copies()[-1].name) + 1 if self.copies() else 1
        partial, complete = self.saved / "partial", self.saved / f"{number:03}"
        with self._before_src():
            try:
                _remove(partial)
                partial.mkdir()
                for path in files(self.src):
                    self._require_ordinary(path)
                    target = partial / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(self.src / path, target, follow_symlinks=False)
                    if not target.is_symlink():
                        _sync(target)
                for directory, _, _ in os.walk(partial):
                    _sync(Path(directory))
                partial.rename(complete)
                _sync(self.saved)
            finally:
                _remove(partial)
        return complete

    def _write(self, source: Path, kept: Path, and_nothing_else: bool = True) -> None:
        """Make `src/` hold what `source` holds, file by file: a terminal or server standing in it survives."""
        wanted = set(files(source))
        unwanted = [path for path in files(self.src) if path not in wanted] if and_nothing_else else []
        changed = False
        try:
            for path in unwanted:
                (self.src / path).unlink()
                changed = True
                _remove_empty((self.src / path).parent, self.src)
            for path in sorted(wanted):
                if not _same(source / path, self.src / path):
                    _replace(source / path, self.src / path, self.src)
                    changed = True
        except (OSError, KeyboardInterrupt) as error:
            reason = _reason(error, self.root) if isinstance(error, OSError) else "you stopped it"
            raise WorkspaceError(
                f"src/ {'is only partly' if changed else 'was not'} changed: {reason}\n"
                f"All that you had is in {kept.relative_to(self.root)}/. `workshop undo` makes src/ whole again."
            ) from None

    def _read(self, path: Path) -> bytes:
        """The bytes of a file below `src/`; of a symbolic link those of the name that it points to."""
        try:
            self._require_ordinary(path)
            whole = self.src / path
            return os.fsencode(os.readlink(whole)) if whole.is_symlink() else whole.read_bytes()
        except OSError as error:
            raise WorkspaceError(f"nothing was changed: {_reason(error, self.root)}") from None

    def _require_ordinary(self, path: Path) -> None:
        mode = (self.src / path).lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            raise WorkspaceError(f"nothing was changed: src/{path} is no ordinary file; move it out of src/")

    def _kept(self) -> dict:
        try:
            found = json.loads((self.saved / "progress.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = None
        return found if isinstance(found, dict) else {}

    def _record(self, **news: object) -> None:
        self._put("progress.json", json.dumps({**self._kept(), **self.progress(), **news}, indent=1))

    def _put(self, name: str, text: str) -> None:
        """Write a small file of `.saved/`, as a whole or not at all."""
        try:
            write_whole(self.saved / name, text)
        except OSError as error:
            raise WorkspaceError(f".saved/{name} was not written: {_reason(error, self.root)}") from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One command at a time moves `src/`; a second one waits for the first."""
        with ExitStack() as held:
            with self._before_src():
                held.enter_context(locked(self.saved / "lock"))
            yield

    @contextmanager
    def _before_src(self) -> Iterator[None]:
        """Turns what fails before `src/` is touched into a message that says so."""
        try:
            yield
        except OSError as error:
            raise WorkspaceError(f"src/ was not changed: {_reason(error, self.root)}") from None


def _reason(error: OSError, root: Path) -> str:
    """An error of the operating system as a sentence that names the file and says what to do."""
    if error.errno is None:
        return str(error)
    path = Path(os.path.relpath(error.filename, root)) if error.filename else Path("a file")
    culprit = shlex.quote(str(path if os.access((root / path).parent, os.W_OK) else path.parent))
    cures = {
        errno.ENOSPC: "the disk is full; free some space",
        errno.EDQUOT: "your disk quota is used up; free some space",
        errno.EROFS: "this folder is read-only; clone the repository where you may write",
        errno.EACCES: f"you may not; `ls -ld {culprit}` shows whose it is, `chmod u+rwX {culprit}` may mend it",
        errno.EISDIR: "a folder stands where the lesson has a file; move it out of src/",
        errno.EPERM: f"you may not; `ls -ld {culprit}` shows whose it is",
    }
    return f"{path}: {cures.get(error.errno, error.strerror)}"


def _fill(folder: Path, state: dict[str, bytes]) -> None:
    _remove(folder)
    folder.mkdir()
    for path, data in state.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def _replace(source: Path, target: Path, top: Path) -> None:
    """Put a copy of `source` in the place of `target` in one step: no reader sees half of it.

    It gets the time of now, not the old one: a reloader must notice it, and Python must not take a cached module."""
    _remove_empty(target, top)
    if target.is_dir() and not target.is_symlink():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(".workshop-partial")
    try:
        shutil.copy(source, partial, follow_symlinks=False)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _same(one: Path, other: Path) -> bool:
    if one.is_symlink() or other.is_symlink():
        return one.is_symlink() and other.is_symlink() and os.readlink(one) == os.readlink(other)
    return other.is_file() and one.read_bytes() == other.read_bytes()


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _remove_empty(folder: Path, top: Path) -> None:
    """Remove a folder and those above it below `top`, as far as they are empty."""
    with suppress(OSError):
        while folder != top:
            folder.rmdir()
            folder = folder.parent


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
