"""edeploy: from a rack of bare servers to a running platform, and from version n to n+1."""

__version__ = "0.1.0"
