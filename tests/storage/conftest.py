"""An archive to write to, and the kinds of places where one can lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from storage_fakes import ArrayMask, ArraySource

from storage.archive import Archive
from storage.ingest import ingest
from storage.shots import Shot


@pytest.fixture
def archive(tmp_path) -> Archive:
    return Archive.open(str(tmp_path / "archive"), "a")


@pytest.fixture
def stored(archive) -> Callable[..., Shot]:
    """Return a function that ingests pixels and holes as a shot."""

    def store(pixels: np.ndarray, holes: np.ndarray | None, name: str = "shot") -> Shot:
        mask = None if holes is None else ArrayMask(holes, 5)
        for _ in ingest(archive, name, ArraySource(pixels, 5), mask):
            pass
        return archive.shot(name)

    return store


@pytest.fixture(scope="session")
def object_store() -> Iterator[str]:
    """An S3 server in this process with an empty bucket; its URL."""
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL_S3", f"http://{host}:{port}")
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        environment.setenv("no_proxy", "127.0.0.1")
        s3fs.S3FileSystem().mkdir("cleanplate-tests")
        yield "s3://cleanplate-tests"
    server.stop()


@pytest.fixture(params=["local", "memory", "s3"])
def place(request, tmp_path) -> str:
    """An empty place for an archive, on each kind of store."""
    if request.param == "local":
        return str(tmp_path / "archive")
    if request.param == "memory":
        return f"memory://{tmp_path.name}"
    return f"{request.getfixturevalue('object_store')}/{tmp_path.name}"
