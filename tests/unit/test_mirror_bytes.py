"""The store's mirror over HTTP: its files, and nothing beside it."""

import asyncio
from pathlib import Path

import httpx
import pytest

from edeploy.images.store import Store
from edeploy.server.bytes import bytes_router
from edeploy.server.http import new_app


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    release = store.mirror / "dists/bookworm/InRelease"
    release.parent.mkdir(parents=True)
    release.write_text("signed\n")
    package = store.mirror / "pool/main/g/g++/g++_2~1_amd64.deb"
    package.parent.mkdir(parents=True)
    package.write_bytes(b"!<arch>\n")
    store.mirror_key.write_text("secret")
    return store


def get(store: Store, path: str) -> httpx.Response:
    app = new_app("test")
    app.include_router(bytes_router(store))

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://store") as client:
            return await client.get(path)

    return asyncio.run(ask())


def test_files_by_their_paths(store: Store) -> None:
    assert get(store, "/mirror/dists/bookworm/InRelease").text == "signed\n"
    answer = get(store, "/mirror/pool/main/g/g++/g++_2~1_amd64.deb")
    assert answer.content == b"!<arch>\n"


def test_nothing_beside_it(store: Store) -> None:
    (store.mirror / "out").symlink_to(store.mirror_key)
    for path in ("%2e%2e/mirror.key", "dists/%2e%2e/%2e%2e/mirror.key", "out"):
        assert get(store, f"/mirror/{path}").status_code == 400
    for path in ("dists", "dists/nowhere", "", "/etc/passwd"):
        assert get(store, f"/mirror/{path}").status_code == 404
