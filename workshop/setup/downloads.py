"""Downloads that are verified, and what is unpacked from archives. Standard library only."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import os
import platform
import shutil
import ssl
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from workshop.setup.commands import Progress, Ticker

PATIENCE = 10  # seconds without an answer or a byte until something is given up


class Unavailable(Exception):
    """Something cannot be had in one way; another way may do. The message says why."""


def this_platform() -> str:
    """This machine as release archives name it, such as `linux-amd64` or `darwin-arm64`."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}-{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(machine, machine) }"


def fetch(url: str) -> bytes:
    """What lies at an address. Raises Unavailable when it is missing, cut off or silent for PATIENCE seconds."""
    parts: list[bytes] = []
    _read(url, parts.append, lambda size, total: None)
    return b"".join(parts)


def download(url: str, target: Path, sha256: str, progress: Progress) -> None:
    """Download a file, telling how far it is; `target` is there only once all of it has the sum that is expected.

    Raises Unavailable."""
    ticker, doing = Ticker(progress), f"downloading {target.name}"
    partial, found = target.with_name(f"{target.name}.partial"), hashlib.sha256()
    progress(doing)
    try:
        with open(partial, "wb") as file:

            def write(chunk: bytes) -> None:
                file.write(chunk)
                found.update(chunk)

            _read(url, write, lambda size, total: ticker(f"{doing}: {_megabytes(size, total)}"))
        if found.hexdigest() != sha256:
            raise Unavailable(f"{target.name} is not what was published: its SHA-256 is {found.hexdigest()}, not {sha256}")
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def unpack(archive: Path, members: dict[str, Path]) -> None:
    """Copy files out of a `.tar.gz` or `.zip`: each member by its name to its target. Raises Unavailable."""
    name = archive.name
    try:
        with _opened(archive) as opened:
            for member, target in members.items():
                source = opened.open(member) if isinstance(opened, zipfile.ZipFile) else opened.extractfile(member)
                if source is None:
                    raise KeyError
                with source, open(target, "wb") as unpacked:
                    shutil.copyfileobj(source, unpacked)
    except KeyError:
        raise Unavailable(f"{name} holds no {member}") from None
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError) as error:
        raise Unavailable(f"{name} is no archive that can be unpacked: {error}") from None


def _opened(archive: Path) -> tarfile.TarFile | zipfile.ZipFile:
    return zipfile.ZipFile(archive) if archive.suffix == ".zip" else tarfile.open(archive, "r:gz")


def _megabytes(size: int, total: int | None) -> str:
    return f"{size / 1e6:.1f} of {total / 1e6:.1f} MB" if total else f"{size / 1e6:.1f} MB"


def _read(url: str, write: Callable[[bytes], object], on_size: Callable[[int, int | None], None]) -> None:
    size = 0
    try:
        with _open(url) as response:
            length = response.headers["Content-Length"]
            total = int(length) if length else None
            while chunk := response.read1(1 << 16):
                write(chunk)
                size += len(chunk)
                on_size(size, total)
            if total is not None and size != total:
                raise Unavailable(f"{url} was cut off after {size} of {total} bytes")
    except TimeoutError:
        raise Unavailable(f"{url} went silent for {PATIENCE} s after {size} bytes") from None
    except (ConnectionError, ssl.SSLError, http.client.HTTPException) as error:
        raise Unavailable(f"{url} was cut off after {size} bytes: {error}") from None


def _open(url: str):
    try:
        return urllib.request.urlopen(url, timeout=PATIENCE)
    except TimeoutError:
        raise Unavailable(f"{url} did not answer in {PATIENCE} s") from None
    except urllib.error.HTTPError as error:
        error.close()
        raise Unavailable(f"{url} answered {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise Unavailable(f"{url} cannot be reached: {error.reason}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unavailable(f"{url} cannot be reached: {error}") from None
