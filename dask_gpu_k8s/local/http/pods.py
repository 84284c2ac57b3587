"""The streaming subresources of Pods: log, exec, portforward.

Source: Kubernetes' API reference (PodLogOptions, PodExecOptions); the framing is in
`dask_gpu_k8s.kube.websocket` and `dask_gpu_k8s.kube.spdy`.
"""

from __future__ import annotations

from aiohttp import web

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.spdy.events import TUNNEL_PROTOCOL
from dask_gpu_k8s.kube.websocket import EXEC_PROTOCOL, PORT_FORWARD_PROTOCOL, ExecServer
from dask_gpu_k8s.local.errors import StatusError, bad_request, method_not_allowed
from dask_gpu_k8s.local.http.exec import run_exec
from dask_gpu_k8s.local.http.portforward import run_port_forward
from dask_gpu_k8s.local.http.query import flag, number
from dask_gpu_k8s.local.http.tunnel import run_tunnel
from dask_gpu_k8s.local.streams import ExecOptions, LogOptions, PodStreams

STREAMS = ("log", "exec", "portforward", "attach", "proxy")

EXEC_PROTOCOLS = (EXEC_PROTOCOL, "v4.channel.k8s.io")


def choose_container(pod: Manifest, asked: str) -> str:
    """Return the container that is meant; StatusError 400 if that is not clear, or it is none."""
    meta, spec = pod["metadata"], pod["spec"]
    names = [entry["name"] for entry in spec["containers"]]
    every = [*names, *(entry["name"] for entry in spec.get("initContainers") or ())]
    if asked:
        if asked not in every:
            raise bad_request(f"container {asked} is not valid for pod {meta['name']}")
        return asked
    if len(names) > 1:
        default = (meta.get("annotations") or {}).get("kubectl.kubernetes.io/default-container")
        if default in names:
            return str(default)
        raise bad_request(
            f"a container name must be specified for pod {meta['name']}, choose one of: [{' '.join(names)}]"
        )
    return str(names[0])


class PodRequests:
    """Answers to requests for the streams of Pods.

    Parameters
    ----------
    streams : PodStreams
        The node.
    """

    def __init__(self, streams: PodStreams) -> None:
        self._streams = streams

    async def answer(self, request: web.BaseRequest, pod: Manifest, sub: str) -> web.StreamResponse:
        """Answer a request for a stream of a Pod."""
        if sub == "log":
            return await self._log(request, pod)
        if sub in ("attach", "proxy"):
            raise StatusError(405, "MethodNotAllowed", f"pods/{sub} is not supported by this server")
        if request.method not in ("GET", "POST"):
            raise method_not_allowed()
        if sub == "exec":
            return await self._exec(request, pod)
        return await self._port_forward(request, pod)

    async def _log(self, request: web.BaseRequest, pod: Manifest) -> web.StreamResponse:
        query = request.query
        container = choose_container(pod, query.get("container", ""))
        options = LogOptions(
            follow=flag(query, "follow"),
            previous=flag(query, "previous"),
            timestamps=flag(query, "timestamps"),
            tail=number(query, "tailLines"),
            since_seconds=number(query, "sinceSeconds"),
            limit_bytes=number(query, "limitBytes"),
        )
        answer = web.StreamResponse(headers={"Content-Type": "text/plain"})
        if not pod["spec"].get("nodeName"):
            return web.Response(text="")
        pieces = await self._streams.logs(pod, container, options)
        await answer.prepare(request)
        try:
            async for piece in pieces:
                await answer.write(piece)
            await answer.write_eof()
        except ConnectionError:
            pass  # the reader went
        return answer

    async def _exec(self, request: web.BaseRequest, pod: Manifest) -> web.StreamResponse:
        query = request.query
        command = query.getall("command", [])
        if not command:
            raise bad_request("you must specify at least 1 command for the container")
        container = choose_container(pod, query.get("container", ""))
        if not pod["spec"].get("nodeName"):
            raise bad_request(f"pod {pod['metadata']['name']} does not have a host assigned")
        options = ExecOptions(
            stdin=flag(query, "stdin"),
            stdout=flag(query, "stdout"),
            stderr=flag(query, "stderr"),
            tty=flag(query, "tty"),
        )
        _check_upgrade(request, EXEC_PROTOCOLS)
        socket = web.WebSocketResponse(protocols=EXEC_PROTOCOLS, max_msg_size=0)
        await socket.prepare(request)
        try:
            process = await self._streams.exec(pod, container, command, options)
        except (StatusError, OSError) as error:
            # Told on the stream, as a kubelet does: kubectl takes a refused upgrade for an old server.
            await socket.send_bytes(ExecServer().failure(f"error executing command in container: {error}"))
            await socket.close()
            return socket
        await run_exec(socket, process)
        return socket

    async def _port_forward(self, request: web.BaseRequest, pod: Manifest) -> web.StreamResponse:
        if pod.get("status", {}).get("phase") != "Running":
            name = pod["metadata"]["name"]
            raise bad_request(f"unable to forward port because pod {name} is not running")
        if _check_upgrade(request, (TUNNEL_PROTOCOL, PORT_FORWARD_PROTOCOL)) == TUNNEL_PROTOCOL:
            socket = web.WebSocketResponse(protocols=(TUNNEL_PROTOCOL,), compress=False, max_msg_size=0)
            await socket.prepare(request)
            await run_tunnel(socket, self._streams, pod)
            return socket
        texts = [part for text in request.query.getall("ports", []) for part in text.split(",")]
        if not texts or not all(text.isdigit() and 0 < int(text) < 65536 for text in texts):
            raise bad_request("ports must name at least one port between 1 and 65535")
        socket = web.WebSocketResponse(protocols=(PORT_FORWARD_PROTOCOL,), max_msg_size=0)
        await socket.prepare(request)
        await run_port_forward(socket, self._streams, pod, [int(text) for text in texts])
        return socket


def _check_upgrade(request: web.BaseRequest, protocols: tuple[str, ...]) -> str:
    """Return the first that is offered; refuse what is no WebSocket, or one that speaks nothing we do."""
    upgrade = request.headers.get("Upgrade", "") or "a plain request"
    offered = {name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")}
    if upgrade.lower() != "websocket" or not offered.intersection(protocols):
        asked = upgrade if upgrade.lower() != "websocket" else ", ".join(sorted(offered))
        spoken = " or ".join(protocols)
        raise bad_request(f"unable to upgrade: this is served over WebSocket as {spoken}, not as {asked}")
    return next(name for name in protocols if name in offered)
