"""The ramdisk's recipe: which packages, modules and paths go in, and whose key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from edeploy.errors import EdeployError
from edeploy.images.ramdisk_tools import Tools
from edeploy.names import checked

_SECTIONS = (
    "packages", "kernels", "programs", "modules", "without_modules", "exclude", "keep", "tools",
)  # fmt: skip
_TOOLS = ("packages", "programs", "keep")
_PUBLIC_KEY = re.compile(r"(ssh|ecdsa|sk)-[A-Za-z0-9@.-]+ [A-Za-z0-9+/=]+( .*)?\Z")


class BadRamdiskRecipe(EdeployError):
    """The recipe has a wrong form, an unknown key, or no such kernel."""


@dataclass(frozen=True)
class RamdiskRecipe:
    """What goes in: Debian packages, and patterns of modules and paths (see pxe/ramdisk.yaml)."""

    packages: tuple[str, ...]
    firmware: tuple[str, ...]
    programs: tuple[str, ...]
    modules: tuple[str, ...]
    without_modules: tuple[str, ...]
    exclude: tuple[str, ...]
    keep: tuple[str, ...]
    tools: Tools


def load_recipe(path: Path, kernel: str) -> RamdiskRecipe:
    """The recipe for one kernel. Raises BadRamdiskRecipe."""
    try:
        data = yaml.safe_load(path.read_text())
    except OSError as error:
        raise BadRamdiskRecipe(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise BadRamdiskRecipe(f"{path}: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("kernels"), dict):
        raise BadRamdiskRecipe(f"{path}: must be a mapping with `kernels`")
    unknown = sorted(str(name) for name in data if name not in _SECTIONS)
    if unknown:
        raise BadRamdiskRecipe(
            f"{path}: unknown key {unknown[0]!r}", f"Known are: {', '.join(_SECTIONS)}."
        )
    flavour = data["kernels"].get(kernel)
    if not isinstance(flavour, dict):
        raise BadRamdiskRecipe(
            f"{path}: no kernel {kernel!r}", f"There are: {', '.join(sorted(data['kernels']))}."
        )

    def texts(mapping: dict[str, object], name: str) -> tuple[str, ...]:
        value = mapping.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise BadRamdiskRecipe(f"{path}: `{name}` must be a list of texts")
        return tuple(value)

    tools = data.get("tools", {})
    if not isinstance(tools, dict) or not set(tools) <= set(_TOOLS):
        raise BadRamdiskRecipe(f"{path}: `tools` must be a mapping of {', '.join(_TOOLS)}")
    packages = texts(data, "packages") + texts(flavour, "packages")
    firmware = texts(flavour, "firmware")
    for package in packages + firmware + texts(tools, "packages"):
        checked(package, "package")
    return RamdiskRecipe(
        packages=packages,
        firmware=firmware,
        programs=texts(data, "programs"),
        modules=texts(data, "modules") + texts(flavour, "modules"),
        without_modules=texts(data, "without_modules"),
        exclude=texts(data, "exclude"),
        keep=texts(data, "keep"),
        tools=Tools(*(texts(tools, name) for name in _TOOLS)),
    )


def read_key(path: Path) -> str:
    """The public keys of an OpenSSH file. Raises EdeployError when it holds anything else."""
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise EdeployError(f"{path}: not readable as a public key: {error}") from error
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys or not all(_PUBLIC_KEY.match(key) for key in keys):
        raise EdeployError(
            f"{path}: this is no OpenSSH public key", "Give the file that ends with .pub."
        )
    return "".join(f"{key}\n" for key in keys)
