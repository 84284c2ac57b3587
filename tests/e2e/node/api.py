"""The little of the Kubernetes API that the node itself needs, over the standard library."""

import http.client
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Object = dict[str, Any]


class Refused(Exception):
    """The API server answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Api:
    """An API server, spoken to with the certificate USER of a folder of keys."""

    def __init__(self, address: str, pki: Path, user: str = "admin") -> None:
        self.address = address
        self.context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self.context.load_cert_chain(pki / f"{user}.crt", pki / f"{user}.key")

    def get(self, path: str) -> Object:
        """Read one object or list."""
        return self._json("GET", path, None)

    def patch_status(self, path: str, status: Object) -> Object:
        """Merge into the status of the object at this path."""
        return self._json("PATCH", f"{path}/status", {"status": status})

    def watch(self, path: str) -> Iterator[Object]:
        """Give the events of a watch until the server ends it (after a minute at the latest)."""
        connection, response = self._send("GET", f"{path}&watch=1&timeoutSeconds=60", None, timeout=90)
        try:
            for line in response:
                yield json.loads(line)
        finally:
            connection.close()

    def _json(self, method: str, path: str, body: "Object | None") -> Object:
        connection, response = self._send(method, path, body, timeout=10)
        try:
            answer: Object = json.loads(response.read())
            return answer
        finally:
            connection.close()

    def _send(
        self, method: str, path: str, body: "Object | None", timeout: float
    ) -> tuple[http.client.HTTPSConnection, http.client.HTTPResponse]:
        connection = http.client.HTTPSConnection(self.address, 6443, context=self.context, timeout=timeout)
        headers = {"Content-Type": "application/merge-patch+json"} if body is not None else {}
        try:
            connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
            response = connection.getresponse()
            if response.status >= 400:
                raise Refused(response.status, response.read().decode(errors="replace"))
        except BaseException:
            connection.close()
            raise
        return connection, response
