"""libzstd in this process: thousands of small files, each against its old content, at no start-up
cost a file. It is on every machine that has dpkg or rpm, which the program `zstd` is not."""

from __future__ import annotations

import ctypes
import functools

from edeploy.errors import EdeployError

# Parameters of ZSTD_CCtx_setParameter, as zstd.h has them since 1.4.0.
_LEVEL, _WINDOW_LOG, _LONG_DISTANCE = 100, 101, 160
_SMALLEST_WINDOW, _LARGEST_WINDOW = 10, 27
# From there on the ordinary search does not see far enough back.
_LONG_FROM = 21


class ZstdFailed(EdeployError):
    """Damaged data, the wrong prefix, or no libzstd."""


def compress(data: bytes, prefix: bytes = b"", level: int = 3) -> bytes:
    """One frame. With `prefix`, which `decompress` then needs too, it says the difference only."""
    lib = _library()
    context = _checked_pointer(lib.ZSTD_createCCtx())
    try:
        window = max(_SMALLEST_WINDOW, (len(prefix) + len(data)).bit_length())
        _set(context, _LEVEL, level)
        _set(context, _WINDOW_LOG, min(window, _LARGEST_WINDOW))
        if prefix:
            if window > _LONG_FROM:
                _set(context, _LONG_DISTANCE, 1)
            _checked(lib.ZSTD_CCtx_refPrefix(context, prefix, len(prefix)))
        room = ctypes.create_string_buffer(lib.ZSTD_compressBound(len(data)))
        size = _checked(lib.ZSTD_compress2(context, room, len(room), data, len(data)))
        return ctypes.string_at(room, size)
    finally:
        lib.ZSTD_freeCCtx(context)


def decompress(frame: bytes, size: int, prefix: bytes = b"") -> bytearray:
    """What was compressed, of `size` bytes. Raises ZstdFailed: damaged, or another prefix."""
    lib = _library()
    context = _checked_pointer(lib.ZSTD_createDCtx())
    try:
        if prefix:
            _checked(lib.ZSTD_DCtx_refPrefix(context, prefix, len(prefix)))
        found = bytearray(size)
        room = (ctypes.c_char * size).from_buffer(found)
        got = _checked(lib.ZSTD_decompressDCtx(context, room, size, frame, len(frame)))
    finally:
        lib.ZSTD_freeDCtx(context)
    if got != size:
        raise ZstdFailed(f"zstd: {got} bytes where {size} were announced")
    return found


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        lib = ctypes.CDLL("libzstd.so.1")
    except OSError as error:
        raise ZstdFailed(
            f"libzstd.so.1: {error}", "Install the package that has it (libzstd1, libzstd)."
        ) from error
    pointer, size, integer = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    for name, result, arguments in (
        ("ZSTD_createCCtx", pointer, []),
        ("ZSTD_freeCCtx", size, [pointer]),
        ("ZSTD_CCtx_setParameter", size, [pointer, integer, integer]),
        ("ZSTD_CCtx_refPrefix", size, [pointer, pointer, size]),
        ("ZSTD_compressBound", size, [size]),
        ("ZSTD_compress2", size, [pointer, pointer, size, pointer, size]),
        ("ZSTD_createDCtx", pointer, []),
        ("ZSTD_freeDCtx", size, [pointer]),
        ("ZSTD_DCtx_refPrefix", size, [pointer, pointer, size]),
        ("ZSTD_decompressDCtx", size, [pointer, pointer, size, pointer, size]),
        ("ZSTD_isError", ctypes.c_uint, [size]),
        ("ZSTD_getErrorName", ctypes.c_char_p, [size]),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def _set(context: int, parameter: int, value: int) -> None:
    _checked(_library().ZSTD_CCtx_setParameter(context, parameter, value))


def _checked(code: int) -> int:
    lib = _library()
    if lib.ZSTD_isError(code):
        raise ZstdFailed(f"zstd: {lib.ZSTD_getErrorName(code).decode()}")
    return code


def _checked_pointer(pointer: int | None) -> int:
    if not pointer:
        raise ZstdFailed("zstd: no memory left")
    return pointer
