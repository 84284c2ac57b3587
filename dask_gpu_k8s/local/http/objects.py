"""The verbs on objects, from a request to its answer."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from dask_gpu_k8s.api.resources import NAMESPACE, POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.api import Api
from dask_gpu_k8s.local.errors import StatusError, bad_request, method_not_allowed, no_such_path
from dask_gpu_k8s.local.http.answers import formed, json_answer, list_json, refusal
from dask_gpu_k8s.local.http.bodies import Form, parse_body, parse_patch, wanted_form
from dask_gpu_k8s.local.http.paths import Target
from dask_gpu_k8s.local.http.query import ListQuery, delete_options, write_options
from dask_gpu_k8s.local.machinery import binding
from dask_gpu_k8s.local.machinery.kinds import Kind
from dask_gpu_k8s.local.machinery.options import DeleteOptions
from dask_gpu_k8s.local.machinery.store import encode


def form_of(request: web.BaseRequest) -> Form:
    """Say which form a request wants."""
    return wanted_form(request.headers.get("Accept", ""), request.query.get("includeObject", ""))


def check_place(kind: Kind, target: Target, method: str) -> None:
    """Refuse a path that does not fit the scope of its kind."""
    resource = kind.resource
    if target.namespace is not None and not resource.namespaced:
        raise no_such_path()
    if resource.namespaced and target.namespace is None:
        if target.name is not None:
            raise no_such_path()
        if method not in ("GET", "HEAD"):
            raise method_not_allowed()


def read_list(api: Api, kind: Kind, target: Target, asked: ListQuery, form: Form) -> web.Response:
    """Answer a list."""
    test = api.reads.test(kind, asked.labels, asked.fields)
    if asked.version and asked.version > api.store.version:
        raise too_new(asked.version, api.store.version)
    page = api.reads.page(
        kind,
        target.namespace,
        test,
        limit=asked.limit,
        token=asked.token,
        version=asked.version if asked.exact else None,
    )
    return json_answer(list_json(api, kind, page, form))


def too_new(asked: int, current: int) -> StatusError:
    """Refuse a version that lies in the future: this server was restarted, and the client was not."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    details = {"causes": [cause], "retryAfterSeconds": 1}
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    return StatusError(504, "Timeout", message, details)


class Objects:
    """Answers to requests for objects.

    Parameters
    ----------
    api : Api
    """

    def __init__(self, api: Api) -> None:
        self._api = api

    async def answer(self, request: web.BaseRequest, kind: Kind, target: Target) -> web.Response:
        """Answer a request for an object, or for a kind as a whole other than list and watch."""
        check_place(kind, target, request.method)
        warnings: list[str] = []
        try:
            return await self._by_method(request, kind, target, warnings)
        except StatusError as error:
            return refusal(error, warnings)

    async def _by_method(
        self, request: web.BaseRequest, kind: Kind, target: Target, warnings: list[str]
    ) -> web.Response:
        form = form_of(request)
        if request.method in ("GET", "HEAD") and target.name is not None:
            return json_answer(encode(self._formed(kind, self._read(kind, target), form)))
        if request.method == "DELETE":
            return self._delete(request, kind, target, await _sent(request))
        if request.method == "PATCH" and target.name is not None:
            how, patch = parse_patch(request.content_type, await request.read())
            options = write_options("PATCH", request.query, warnings.append)
            new = self._api.patch(
                kind.resource,
                target.namespace,
                target.name,
                patch,
                kind=how,
                sub=target.sub,
                options=options,
            )
            return json_answer(encode(self._formed(kind, new, form)), 200, warnings)
        if request.method == "PUT" and target.name is not None:
            sent = await _sent(request)
            is_new = self._api.store.get(kind.table, (target.namespace or "", target.name)) is None
            new = self._replace(request, kind, target, sent, warnings)
            return json_answer(encode(self._formed(kind, new, form)), 201 if is_new else 200, warnings)
        if request.method == "POST":
            new = self._create(request, kind, target, await _sent(request), warnings)
            return json_answer(encode(self._formed(kind, new, form)), 201, warnings)
        raise method_not_allowed()

    def _formed(self, kind: Kind, obj: Manifest, form: Form) -> Any:
        return obj if obj.get("kind") != kind.resource.kind else formed(self._api, kind, obj, form)

    def _read(self, kind: Kind, target: Target) -> Manifest:
        name = target.name or ""
        if target.sub == "scale":
            return self._api.scale(kind.resource, target.namespace, name)
        if target.sub not in (None, "status") or (target.sub == "status" and not kind.has_status):
            raise no_such_path()
        return self._api.get(kind.resource, target.namespace, name)

    def _create(
        self, request: web.BaseRequest, kind: Kind, target: Target, sent: Any, warnings: list[str]
    ) -> Manifest:
        if target.name is not None:
            return self._create_below(request, kind, target, sent)
        options = write_options("POST", request.query, warnings.append)
        return self._api.create(kind.resource, target.namespace, sent, options)

    def _create_below(self, request: web.BaseRequest, kind: Kind, target: Target, sent: Any) -> Manifest:
        """Answer the subresources of Pods that are created: a binding, an eviction."""
        name = target.name or ""
        if kind.resource != POD or target.sub not in ("binding", "eviction"):
            raise method_not_allowed()
        if target.sub == "binding":
            self._api.bind(target.namespace, name, binding.node_of(sent))
        else:
            asked = sent.get("deleteOptions") if isinstance(sent, dict) else None
            self._api.evict(target.namespace, name, delete_options(request.query, asked))
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}

    def _replace(
        self, request: web.BaseRequest, kind: Kind, target: Target, sent: Any, warnings: list[str]
    ) -> Manifest:
        name = target.name or ""
        if target.sub == "finalize" and kind.resource == NAMESPACE:
            return self._finalize(name, sent)
        options = write_options("PUT", request.query, warnings.append)
        return self._api.update(kind.resource, target.namespace, name, sent, sub=target.sub, options=options)

    def _finalize(self, name: str, sent: Any) -> Manifest:
        old = self._api.get(NAMESPACE, None, name)
        if not isinstance(sent, dict) or not isinstance(sent.get("spec", {}), dict):
            raise bad_request("expected a Namespace")
        finalizers = sent.get("spec", {}).get("finalizers") or []
        new = {**old, "spec": {**old["spec"], "finalizers": finalizers}}
        return self._api.finish(NAMESPACE, old, new)

    def _delete(self, request: web.BaseRequest, kind: Kind, target: Target, body: Any) -> web.Response:
        if target.sub is not None:
            raise method_not_allowed()
        options = delete_options(request.query, body)
        if target.name is None:
            return self._delete_many(request, kind, target, options)
        obj, gone = self._api.remove(kind.resource, target.namespace, target.name, options)
        if gone and kind.resource.plural not in ("pods", "services", "serviceaccounts"):
            return json_answer(encode(_deleted(kind, obj)))
        return json_answer(encode(self._formed(kind, obj, form_of(request))))

    def _delete_many(
        self, request: web.BaseRequest, kind: Kind, target: Target, options: DeleteOptions
    ) -> web.Response:
        query = request.query
        test = self._api.reads.test(kind, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        page = self._api.reads.page(kind, target.namespace, test)
        answer = json_answer(list_json(self._api, kind, page, Form()))
        for entry in page.entries:
            meta = entry.obj["metadata"]
            self._api.remove(kind.resource, meta.get("namespace"), meta["name"], options)
        return answer


async def _sent(request: web.BaseRequest) -> Any:
    return parse_body(request.content_type, await request.read())


def _deleted(kind: Kind, obj: Manifest) -> Manifest:
    meta = obj["metadata"]
    details = {"name": meta["name"], "group": kind.resource.group, "kind": kind.resource.plural}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {**{key: value for key, value in details.items() if value}, "uid": meta["uid"]},
    }
