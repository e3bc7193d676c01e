"""The probe of what makes a boot trusted: Secure Boot and the TPM."""

from __future__ import annotations

from collections.abc import Iterator

from edeploy.inventory.items import Item
from edeploy.node.detect.tree import Tree

# Variables of the UEFI specification: four bytes of attributes, then the value.
_GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
_VARIABLES = (("secure_boot", "SecureBoot"), ("setup_mode", "SetupMode"))
_TPM = "sys/class/tpm"


def security(tree: Tree) -> Iterator[Item]:
    """Items of type `system`, ids `boot` and `tpm`."""
    for key, name in _VARIABLES:
        data = tree.data(f"sys/firmware/efi/efivars/{name}-{_GLOBAL}")
        if len(data) == 5:
            yield Item("system", "boot", key, "on" if data[4] else "off")
    for name in tree.names(_TPM)[:1]:
        folder = f"{_TPM}/{name}"
        # Kernels before 5.6 do not tell; then a version 1.2 has the file `caps`.
        old = "1.2" if tree.exists(f"{folder}/device/caps") else ""
        major = tree.text(f"{folder}/tpm_version_major") or old
        yield Item("system", "tpm", "device", name)
        if major:
            yield Item("system", "tpm", "version", "1.2" if major == "1" else major)
        description = tree.text(f"{folder}/device/description")
        if description:
            yield Item("system", "tpm", "description", description)
