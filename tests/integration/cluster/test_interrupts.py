"""Ctrl-C and cancellation at every step of a start: nothing is left, and there is no noise."""

from __future__ import annotations

import asyncio
import itertools
import types

import pytest

from dask_gpu_k8s import KubeCluster

INTERRUPTED = """
import asyncio, itertools, os, signal, sys, threading
from contextlib import asynccontextmanager

from dask_gpu_k8s import KubeCluster
from dask_gpu_k8s.kube.errors import NotFound
from dask_gpu_k8s.kube.transport import Transport

WHEN, real = sys.argv[1], Transport.stream


def interrupting(step):
    requests = itertools.count(1)

    @asynccontextmanager
    async def stream(self, *request, **more):
        is_it = is_starting() and next(requests) == step
        if is_it and WHEN == "before":
            await press()
        try:
            async with real(self, *request, **more) as response:
                if is_it and WHEN == "after":
                    await press()
                yield response
        except NotFound:
            if is_it and WHEN == "after":
                await press()
            raise

    return stream


def is_starting():
    return any(task.get_coro().__qualname__ == "LifeCycle._start" for task in asyncio.all_tasks())


async def press():
    # The request does not go on before this has an effect; the one that creates is not cut off by it.
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(1)


for step in itertools.count(1):
    Transport.stream = interrupting(step)
    try:
        cluster = KubeCluster(name=f"demo-{step}")
    except KeyboardInterrupt:
        assert threading.active_count() == 1, threading.enumerate()
        continue
    break

cluster.close()
print(step - 1)
"""


CLOSED_TWICE = """
import itertools, os, signal, threading

from dask_gpu_k8s import KubeCluster
from dask_gpu_k8s.kube.client import KubeClient

cluster = KubeCluster(name="demo")
real = KubeClient.delete


async def delete(self, *args, **more):
    os.kill(os.getpid(), signal.SIGINT)
    return await real(self, *args, **more)


KubeClient.delete = delete
try:
    cluster.close()
except KeyboardInterrupt:
    cluster.close()
    print(cluster.status.name, threading.active_count())
"""


def test_row_55_close_after_ctrl_c_in_close(kubernetes, clusters):
    done = kubernetes.python(CLOSED_TWICE)
    assert (done.stdout, done.stderr) == ("closed 1\n", "")
    assert clusters() == []


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("when", ["before", "after"])
def test_row_55_ctrl_c_at_each_request_of_a_start(kubernetes, clusters, when):
    done = kubernetes.python(INTERRUPTED, when, timeout=280)
    assert int(done.stdout) > 5
    assert done.stderr == ""
    assert clusters() == []


class Steps:
    """Makes tasks; the one that starts a cluster has the task that waits for it cancelled at a step.

    Parameters
    ----------
    caller : asyncio.Task
        Who waits for the start.
    step : int
        The first is 1: as often as the start has then waited for something.
    """

    def __init__(self, caller, step) -> None:
        self._caller = caller
        self._step = step

    def __call__(self, loop, coroutine, **more):
        if getattr(coroutine, "__qualname__", "") == "LifeCycle._start":
            coroutine = self._counted(coroutine)
        return asyncio.Task(coroutine, loop=loop, **more)

    @types.coroutine
    def _counted(self, coroutine):
        steps = itertools.count(1)
        resume, value = coroutine.send, None
        while True:
            try:
                awaited = resume(value)
            except StopIteration as end:
                return end.value
            if next(steps) == self._step:
                self._caller.cancel()
            try:
                resume, value = coroutine.send, (yield awaited)
            except BaseException as error:
                resume, value = coroutine.throw, error


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_row_55_cancellation_wherever_a_start_waits(settings, clusters):
    loop, me = asyncio.get_running_loop(), asyncio.current_task()
    for step in itertools.count(1):
        loop.set_task_factory(Steps(me, step))
        cluster = KubeCluster(asynchronous=True, **settings)
        try:
            await cluster
        except asyncio.CancelledError:
            assert cluster.status.name == "closed"
            assert asyncio.all_tasks() == {me}
            continue
        break
    loop.set_task_factory(None)
    await cluster.close()
    assert step > 10
    assert await asyncio.to_thread(clusters) == []
