"""Where bytes live: a local path, `memory://`, `s3://` or any other URL that fsspec knows.

A place is handed around as one string and opened in the process that uses it. Settings of an object
store (endpoint, credentials) come from its own environment variables (`AWS_ENDPOINT_URL_S3`, …) or
from fsspec's configuration files, so no URL and no pickled object ever carries a secret.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from zarr.abc.store import Store
from zarr.storage import FsspecStore, LocalStore

from storage.sources import InputError

PATIENT_TRIES = 25
"""Of an operation on S3, with pauses that grow from 0.1 to 15 s: four minutes in all."""


def resolve(url: str | os.PathLike[str]) -> str:
    """Return a place's full name: an absolute path, or the URL without its last slash.

    Raises:
        InputError: no file system of that protocol is installed.
    """
    text = os.fspath(url)
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    if "://" not in text:
        return str(Path(text).expanduser().absolute())
    _filesystem(text)
    return text.rstrip("/")


def join(url: str, *parts: str) -> str:
    return "/".join((url.rstrip("/"), *parts))


def is_local(url: str) -> bool:
    return "://" not in url


def open_store(url: str, *, read_only: bool) -> Store:
    """Return the Zarr store rooted at `url` (as `resolve` gives it)."""
    if is_local(url):
        return LocalStore(url, read_only=read_only)  # its writes are atomic, fsspec's are not
    return FsspecStore.from_url(url, read_only=read_only)


@dataclass(frozen=True)
class Files:
    """Plain files under one URL: small things that lie beside the arrays.

    A file is either wholly there or not at all: written under a temporary name and renamed, or put
    whole on an object store. A name may carry slashes, never `..`.
    """

    url: str

    def read(self, name: str) -> bytes | None:
        """Return the file's bytes, None where there is no such file."""
        place = self._place(name)
        with plain_errors(place):
            try:
                if is_local(self.url):
                    return Path(place).read_bytes()
                return bytes(_filesystem(self.url).cat_file(place))
            except FileNotFoundError:
                return None

    def write(self, name: str, data: bytes) -> None:
        """Replace the file's bytes in one step."""
        place = self._place(name)
        with plain_errors(place):
            if is_local(self.url):
                _write_atomically(Path(place), data)
            else:
                _filesystem(self.url).pipe_file(place, data)

    def create(self, name: str, data: bytes) -> bool:
        """Write the file unless there is one; return whether it was written.

        Of several at once one succeeds, where the object store knows conditional writes.
        """
        place = self._place(name)
        with plain_errors(place):
            try:
                if is_local(self.url):
                    _write_atomically(Path(place), data, _link)
                else:
                    _filesystem(self.url).pipe_file(place, data, mode="create")
            except FileExistsError:
                return False
        return True

    def names(self) -> list[str]:
        """Return the names of all files here, sorted; hidden ones (`.name`) are left out."""
        if is_local(self.url):
            root = Path(self.url)
            found = [p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()]
        else:
            found = [path.removeprefix(self._root()) for path in _find(self.url)]
        return sorted(name for name in found if not name.rsplit("/", 1)[-1].startswith("."))

    def remove(self, name: str) -> None:
        """Remove the file; one that is not there is no error."""
        with suppress(FileNotFoundError):
            if is_local(self.url):
                Path(self._place(name)).unlink()
            else:
                _filesystem(self.url).rm_file(self._place(name))

    def _place(self, name: str) -> str:
        if not name or name.startswith("/") or ".." in name.split("/"):
            raise ValueError(f"{name!r} is no name of a file under {self.url}")
        return join(self.url, name)

    def _root(self) -> str:
        return str(_filesystem(self.url)._strip_protocol(self.url)).rstrip("/") + "/"


def folders(url: str) -> list[str]:
    """Return the names of the folders directly under `url`, sorted."""
    if is_local(url):
        root = Path(url)
        return sorted(p.name for p in root.iterdir() if p.is_dir()) if root.is_dir() else []
    system = _filesystem(url)
    system.invalidate_cache()
    try:
        entries = system.ls(url, detail=True)
    except FileNotFoundError:
        return []
    found = (e["name"].rstrip("/").rsplit("/", 1)[-1] for e in entries if e["type"] == "directory")
    return sorted(found)


def exists(url: str) -> bool:
    """Return whether anything lies at or under `url`."""
    if is_local(url):
        return Path(url).exists()
    system = _filesystem(url)
    system.invalidate_cache()
    return bool(system.exists(url))


def is_empty(url: str) -> bool:
    """Return whether nothing lies under `url`: it is absent or an empty folder.

    What a killed process left of a group's description counts for nothing.
    """
    if is_local(url):
        root = Path(url)
        if not root.is_dir():
            return not root.exists()
        return all(path.match("zarr.*.partial") for path in root.iterdir())
    return not _find(url)


def remove_tree(url: str) -> None:
    """Remove everything at and under `url`; nothing there is no error."""
    with plain_errors(url):
        if is_local(url):
            if Path(url).exists():
                shutil.rmtree(url)
        elif exists(url):
            _filesystem(url).rm(url, recursive=True)


def be_patient(url: str) -> None:
    """Let this process ask an object store that does not answer for minutes, not seconds.

    For long work, which an outage should delay and not end. A first look at a place is better
    quick: its address may be wrong. The stores of others than S3 are asked by their libraries.
    """
    if url.startswith("s3://"):
        import s3fs

        s3fs.core.set_custom_error_handler(_passing)
        s3fs.S3FileSystem.retries = PATIENT_TRIES


class PlaceError(InputError):
    """A place refuses to be read or written. Once that is mended, the same command goes on."""


@contextmanager
def plain_errors(place: str) -> Iterator[None]:
    """Turn what an operating system or an object store refuses into a `PlaceError`."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        remedy = _remedy(error)
        if remedy is None:
            raise
        where = getattr(error, "filename", None) or place
        raise PlaceError(f"{where}: {remedy}") from error


_REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.EACCES: "no permission to read or write here; choose another place or change its rights",
    errno.EPERM: "no permission to read or write here; choose another place or change its rights",
    errno.ENOTDIR: "a file stands where a folder is needed; choose another place",
    errno.EEXIST: "a file stands where a folder is needed; choose another place",
    errno.ENAMETOOLONG: "the name is too long for this file system; choose a shorter one",
}


def _remedy(error: Exception) -> str | None:
    if isinstance(error, OSError) and error.errno in _REMEDIES:
        return _REMEDIES[error.errno]
    if isinstance(error, PermissionError):  # an object store's refusal carries no number
        return _REMEDIES[errno.EACCES]
    # The object stores' own errors, known by name so that their libraries need not be installed.
    if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError"):
        return "no credentials for the object store; set them in the environment"
    if _passing(error):
        said = " ".join(str(error).split()) or type(error).__name__
        return f"the object store does not answer ({said}); check its endpoint, or try again later"
    return None


def _passing(error: Exception) -> bool:
    """Whether an object store, or the way to it, may be well again in a moment."""
    names = {cls.__name__ for cls in type(error).__mro__}
    if "ClientError" in names:  # botocore's, before s3fs makes an OSError of it
        answer: Any = getattr(error, "response", {})
        return bool(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500)
    if getattr(error, "filename", None) is not None:  # this machine's own refusal of a file
        return False
    return bool(names & _UNANSWERED) or getattr(error, "errno", None) in _BUSY


_UNANSWERED = {
    *("ConnectionError", "HTTPClientError"),  # botocore's, and all that derive from them
    *("ClientConnectionError", "ClientPayloadError", "FSTimeoutError", "TimeoutError"),
}
_BUSY = {errno.EBUSY, getattr(errno, "EREMOTEIO", errno.EIO)}
"""What s3fs makes of 503 (slow down) and 500 (internal error)."""


def _filesystem(url: str) -> Any:
    protocol = url.split("://", 1)[0]
    try:
        return fsspec.filesystem(protocol)
    except (ValueError, ImportError) as error:
        raise InputError(f"{url}: cannot open {protocol}:// ({error})") from error


def _find(url: str) -> list[str]:
    system = _filesystem(url)
    system.invalidate_cache()
    try:
        return [str(path) for path in system.find(url)]
    except FileNotFoundError:
        return []


def _write_atomically(
    path: Path, data: bytes, put: Callable[[Path, Path], None] = os.replace
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}.tmp"
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        put(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _link(temporary: Path, path: Path) -> None:
    """Give a file its name unless it is taken; a rename would replace what is there."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        with open(path, "xb") as file:
            file.write(temporary.read_bytes())
    temporary.unlink()
