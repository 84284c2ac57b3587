"""Runs at the start of every Python process of a Pod, because this folder comes first on its PYTHONPATH.

It gives the process the Pod's network, then runs the ``sitecustomize`` that it hides, if there is one.
"""

import importlib
import importlib.machinery
import importlib.util
import os
import sys


def _chain() -> None:
    """Run the sitecustomize that this one hides."""
    here = os.path.dirname(os.path.abspath(__file__))
    elsewhere = [folder for folder in sys.path if os.path.abspath(folder) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


if "LOCAL_KUBERNETES_ADDRESS" in os.environ:
    importlib.import_module("_pod_network").PodNetwork.from_environment(os.environ).install()
_chain()
