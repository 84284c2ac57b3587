"""The image as Docker makes it and as the end-to-end tests make it are the same."""

import re
from pathlib import Path

from dask_gpu_k8s.api import deploy, manifests
from tests.e2e.node import images, versions

DOCKERFILE = (Path(__file__).parents[3] / "deploy/Dockerfile").read_text()


def test_the_user_is_a_number_other_than_root():
    assert re.search(r"^USER 1000:1000$", DOCKERFILE, re.MULTILINE)
    assert 'user="1000:1000"' in Path(images.__file__).read_text()


def test_the_environment_is_that_of_the_end_to_end_image():
    line = re.search(r"^ENV (.*)$", DOCKERFILE, re.MULTILINE).group(1)
    assert set(line.split()) <= set(images.ENVIRONMENT)


def test_the_dask_inside_is_the_newest_supported():
    assert f"ARG DASK={versions.NEWEST_DASK}\n" in DOCKERFILE


def test_the_deployment_names_what_is_built():
    it = deploy.Installation(f"{manifests.OPERATOR_IMAGE}:0", "0")
    image = deploy.make_deployment(it)["spec"]["template"]["spec"]["containers"][0]["image"]
    assert f"-t {image.rpartition(':')[0]}:" in DOCKERFILE
