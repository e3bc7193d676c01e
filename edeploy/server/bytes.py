"""The store's files as bytes: by range, from any point again, and nothing else of it."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

from edeploy.images.edges.folder import FILES as EDGE_FILES
from edeploy.images.edges.folder import edge_folder
from edeploy.images.store import Store
from edeploy.machines.refusal import NotFound
from edeploy.names import checked, under

SUFFIXES = (".edeploy", ".manifest", ".sig")


class Bytes(FileResponse):
    """A file with ETag, Last-Modified and ranges; read in larger pieces than by default."""

    chunk_size = 1 << 20


def bytes_router(store: Store) -> APIRouter:
    """Routes for files of `store`: no name leads out of it, no folder is listed."""
    router = APIRouter()

    @router.api_route("/ramdisk/{kernel}/vmlinuz", methods=["GET", "HEAD"])
    def vmlinuz(kernel: str) -> Bytes:
        return _file(store.root, store.ramdisk(kernel).kernel)

    @router.api_route("/ramdisk/{kernel}/initrd", methods=["GET", "HEAD"])
    def initrd(kernel: str) -> Bytes:
        return _file(store.root, store.ramdisk(kernel).initrd)

    @router.api_route("/ramdisk/{kernel}/tools", methods=["GET", "HEAD"])
    def tools(kernel: str) -> Bytes:
        return _file(store.root, store.ramdisk(kernel).tools)

    @router.api_route("/images/{version}/{name}", methods=["GET", "HEAD"])
    def image(version: str, name: str) -> Bytes:
        checked(version, "version")
        suffix = Path(checked(name, "file of an image")).suffix
        role = name.removesuffix(suffix).removesuffix(f"-{version}")
        if suffix not in SUFFIXES or name != f"{role}-{version}{suffix}":
            raise NotFound(f"{name} is no file of an image", f"Ends: {', '.join(SUFFIXES)}.")
        found = store.image(role, version)
        return _file(store.root, found.archive.with_name(name))

    @router.api_route("/metadata/{old}/{role}/{new}/{name}", methods=["GET", "HEAD"])
    def edge(old: str, role: str, new: str, name: str) -> Bytes:
        if name not in EDGE_FILES:
            raise NotFound(f"{name} is no file of an edge", f"Files: {', '.join(EDGE_FILES)}.")
        return _file(store.root, edge_folder(store.root, role, old, new) / name)

    @router.api_route("/mirror/{path:path}", methods=["GET", "HEAD"])
    def mirror(path: str) -> Bytes:
        return _file(store.mirror, store.mirror / path.lstrip("/"))

    return router


def _file(root: Path, path: Path) -> Bytes:
    # Nothing outside the store, whatever a link in it says.
    resolved = under(root, str(path.relative_to(root)))
    if not resolved.is_file():
        raise NotFound(f"{path.name} is not in the store")
    return Bytes(resolved, media_type="application/octet-stream", stat_result=resolved.stat())
