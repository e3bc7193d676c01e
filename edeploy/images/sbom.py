"""The bill of materials of an image: SPDX 2.3 (spdx.github.io/spdx-spec/v2.3) as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import edeploy
from edeploy.images.packages import rpm

_NOTHING = "NOASSERTION"
# What rpm prints for a tag that a package has not.
_NO_TAG = "(none)"
_STATUS = "var/lib/dpkg/status"
_SOURCE = re.compile(r"(?P<name>\S+)(?: \((?P<version>\S+)\))?\Z")


def text(image: str, tree: Path, manifest_sha256: str, epoch: int) -> str:
    """The document for an image (`web 1.0.0`) with the tree `tree`; equal images have equal ones.

    `epoch` (Unix seconds) is told as the time of its creation.
    """
    if rpm.is_rpm(tree):
        packages = [_rpm_package(fields) for fields in rpm.described(tree)]
    else:
        packages = [_package(fields) for fields in _installed(tree / _STATUS)]
    created = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    root = "SPDXRef-image"
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": image,
        "documentNamespace": f"https://edeploy.invalid/spdx/{manifest_sha256}",
        "creationInfo": {
            "created": created,
            "creators": [f"Tool: edeploy-{edeploy.__version__}"],
        },
        "packages": [_image(image, root, manifest_sha256), *packages],
        "relationships": [
            _relation("SPDXRef-DOCUMENT", "DESCRIBES", root),
            *(_relation(root, "CONTAINS", str(package["SPDXID"])) for package in packages),
        ],
    }
    return json.dumps(document, indent=1) + "\n"


def _image(image: str, root: str, manifest_sha256: str) -> dict[str, object]:
    name, _, version = image.partition(" ")
    return {
        "SPDXID": root,
        "name": name,
        "versionInfo": version,
        "downloadLocation": _NOTHING,
        "filesAnalyzed": False,
        "primaryPackagePurpose": "OPERATING-SYSTEM",
        "comment": f"SHA-256 of its manifest: {manifest_sha256}",
    }


def _package(fields: Mapping[str, str]) -> dict[str, object]:
    name, version, arch = fields["Package"], fields["Version"], fields["Architecture"]
    source = _SOURCE.match(fields.get("Source", name))
    source_name = source["name"] if source else name
    source_version = (source["version"] if source else None) or version
    package: dict[str, object] = {
        "SPDXID": f"SPDXRef-{re.sub('[^A-Za-z0-9.-]', '-', f'{name}-{arch}')}",
        "name": name,
        "versionInfo": version,
        "supplier": f"Person: {fields.get('Maintainer', _NOTHING)}",
        "downloadLocation": _NOTHING,
        "filesAnalyzed": False,
        # Debian's copyright files are in the tree; most are not in terms that SPDX knows.
        "licenseConcluded": _NOTHING,
        "licenseDeclared": _NOTHING,
        "copyrightText": _NOTHING,
        "sourceInfo": f"built from {source_name} {source_version}",
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={arch}",
            }
        ],
    }
    if "Homepage" in fields:
        package["homepage"] = fields["Homepage"]
    return package


def _rpm_package(fields: Mapping[str, str]) -> dict[str, object]:
    name, arch = fields["name"], fields["arch"]
    version = f"{fields['version']}-{fields['release']}"
    epoch = fields["epoch"] if fields["epoch"] != "0" else ""
    vendor = fields["vendor"]
    where = (
        f"pkg:rpm/{quote(name)}@{quote(version)}?arch={arch}{f'&epoch={epoch}' if epoch else ''}"
    )
    package: dict[str, object] = {
        "SPDXID": f"SPDXRef-{re.sub('[^A-Za-z0-9.-]', '-', f'{name}-{version}-{arch}')}",
        "name": name,
        "versionInfo": f"{epoch}:{version}" if epoch else version,
        "supplier": f"Organization: {vendor}" if vendor != _NO_TAG else _NOTHING,
        "downloadLocation": _NOTHING,
        "filesAnalyzed": False,
        "licenseConcluded": _NOTHING,
        "licenseDeclared": _NOTHING,
        # As the packager wrote it: it need not be an expression of SPDX.
        "licenseComments": fields["license"],
        "copyrightText": _NOTHING,
        "sourceInfo": f"built from {fields['source']}",
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": where,
            }
        ],
    }
    if fields["url"] != _NO_TAG:
        package["homepage"] = fields["url"]
    return package


def _relation(one: str, how: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": how, "relatedSpdxElement": other}


def _installed(status: Path) -> Iterator[dict[str, str]]:
    """The fields of each installed package, by name; of fields with several lines the first."""
    found = []
    content = status.read_text(encoding="utf-8", errors="replace") if status.is_file() else ""
    for stanza in content.split("\n\n"):
        pairs = (line.partition(": ") for line in stanza.splitlines() if not line.startswith(" "))
        fields = {name: value for name, _, value in pairs}
        if fields.get("Status", "").endswith(" installed"):
            found.append(fields)
    yield from sorted(found, key=lambda each: (each["Package"], each["Architecture"]))
