"""What whoever runs the operator adds to the objects that it makes: defaults from a file, and plug-ins."""

from dask_gpu_k8s.operator.shaping.defaults import Defaults, DefaultsError, read_defaults
from dask_gpu_k8s.operator.shaping.plugins import Plugin, installed_plugins
from dask_gpu_k8s.operator.shaping.shape import Shaper, ShapingFailed

__all__ = [
    "Defaults",
    "DefaultsError",
    "Plugin",
    "Shaper",
    "ShapingFailed",
    "installed_plugins",
    "read_defaults",
]
