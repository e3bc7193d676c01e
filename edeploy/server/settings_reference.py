"""The reference page of the settings, from their table."""

from dataclasses import fields
from pathlib import Path

from edeploy.server.settings import Settings

HEAD = """# Settings of `edeploy serve`

One TOML file, named by `--config`. Every setting has a default; an unknown section or key is an
error with its line. This page is made from the table in `edeploy/server/settings.py`
(`python -m edeploy.server.settings_reference > docs/reference/settings.md`).

```toml
[server]
address = "10.0.0.1"

[dhcp]
mode = "dhcp"
interface = "eth1"
range_start = "10.0.0.100"
range_end = "10.0.0.199"
```
"""


def page() -> str:
    """The whole page, as Markdown."""
    parts = [HEAD]
    for section in fields(Settings):
        part = getattr(Settings(), section.name)
        lines = [f"\n## [{section.name}]\n", f"{type(part).__doc__}\n"]
        lines += ["| setting | default | values | meaning |", "| --- | --- | --- | --- |"]
        for entry in fields(type(part)):
            values = (entry.metadata["parse"].__doc__ or "").replace("|", "\\|")
            meaning = entry.metadata["doc"].replace("|", "\\|")
            lines.append(f"| `{entry.name}` | `{shown(entry.default)}` | {values} | {meaning} |")
        parts.append("\n".join(lines) + "\n")
    return "".join(parts)


def shown(value: object) -> str:
    """A default as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(shown(item) for item in value) + "]"
    return f'"{value or ""}"' if value is None or isinstance(value, str | Path) else str(value)


if __name__ == "__main__":
    print(page(), end="")
