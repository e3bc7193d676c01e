"""The boot service: machines' API, operators' API, bytes, supervised children."""
