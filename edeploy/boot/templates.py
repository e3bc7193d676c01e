"""The templates under `pxe/`, rendered without loopholes."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateNotFound

from edeploy.errors import EdeployError

PXE = Path(__file__).resolve().parents[2] / "pxe"


def render(name: str, **values: object) -> str:
    """The text of `pxe/NAME`; a value that the template wants and does not get is an error."""
    # Plain text for firmware and dnsmasq: HTML escapes would be wrong, every value is checked.
    environment = Environment(  # noqa: S701
        loader=FileSystemLoader(PXE),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    try:
        return environment.get_template(name).render(**values)
    except TemplateNotFound as error:
        raise EdeployError(
            f"{PXE / name} is missing", "Run edeploy from its whole source tree."
        ) from error
