"""A program for Pods: prints the GPUs that CUDA, asked by nothing but its driver, lets them see."""

import ctypes
import uuid

NO_DEVICE = 100

cuda = ctypes.CDLL("libcuda.so.1")
count, identity = ctypes.c_int(), (ctypes.c_ubyte * 16)()
begun = cuda.cuInit(0)
assert begun in (0, NO_DEVICE), f"cuInit: {begun}"
if not begun:
    assert cuda.cuDeviceGetCount(ctypes.byref(count)) == 0
for device in range(count.value):
    assert cuda.cuDeviceGetUuid(identity, device) == 0
    print(f"GPU-{uuid.UUID(bytes=bytes(identity))}")
