"""The operators' API from the caller's side: HTTP over the server's Unix socket."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import httpx

from edeploy import timeouts
from edeploy.errors import EdeployError

JsonObject = dict[str, object]
Query = Mapping[str, str] | Sequence[tuple[str, str]]


class NoServer(EdeployError):
    """Nobody answers on the socket."""


class OperatorsClient:
    """Asks a running `edeploy serve`, as `edeploy machine` does."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def get(self, *path: str, query: Query | None = None) -> object:
        """The answer of GET; EdeployError with the server's own words when it refuses."""
        return self._ask("GET", path, None, query)

    def post(self, *path: str, body: Mapping[str, object] | None = None) -> object:
        """The answer of POST; EdeployError with the server's own words when it refuses."""
        return self._ask("POST", path, body or {})

    def one(self, *path: str) -> JsonObject:
        """GET where the answer is an object."""
        answer = self.get(*path)
        if not isinstance(answer, dict):
            raise EdeployError(f"{self._socket}: {'/'.join(path)}: no object came back")
        return answer

    def many(self, *path: str) -> list[JsonObject]:
        """GET where the answer is a list of objects."""
        answer = self.get(*path)
        if not isinstance(answer, list):
            raise EdeployError(f"{self._socket}: {'/'.join(path)}: no list came back")
        return answer

    def _ask(
        self,
        method: str,
        path: tuple[str, ...],
        body: Mapping[str, object] | None,
        query: Query | None = None,
    ) -> object:
        url = "http://edeploy/" + "/".join(quote(part, safe="") for part in path)
        transport = httpx.HTTPTransport(uds=str(self._socket))
        try:
            with httpx.Client(transport=transport, timeout=timeouts.API_ANSWER) as client:
                answer = client.request(method, url, json=body, params=_pairs(query))
        except httpx.ConnectError as error:
            raise NoServer(
                f"no server answers on {self._socket}: {error}",
                "Is `edeploy serve` running, and are you its user? --socket names another one.",
            ) from error
        except httpx.HTTPError as error:
            raise EdeployError(f"{self._socket}: {error or type(error).__name__}") from error
        found: object = answer.json()
        if answer.is_error:
            told = found if isinstance(found, dict) else {}
            raise EdeployError(str(told.get("error", answer.text)), str(told.get("hint", "")))
        return found


def _pairs(query: Query | None) -> list[tuple[str, str | int | float | bool | None]]:
    pairs = query.items() if isinstance(query, Mapping) else query or ()
    return list(pairs)
