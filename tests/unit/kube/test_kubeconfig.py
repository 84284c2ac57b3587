from __future__ import annotations

import base64

import pytest
import yaml

from dask_gpu_k8s.kube.errors import NoConfig
from dask_gpu_k8s.kube.kubeconfig import Section, choose, read


def write(path, **content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({key.replace("_", "-"): value for key, value in content.items()}))
    return path


def cluster(name, **values):
    return {"name": name, "cluster": values}


def context(name, **values):
    return {"name": name, "context": values}


def test_files_are_merged_and_the_first_to_say_something_wins(tmp_path):
    one = write(
        tmp_path / "one" / "config",
        clusters=[cluster("c", server="https://first", **{"certificate-authority": "ca.crt"})],
    )
    two = write(
        tmp_path / "two" / "config",
        current_context="x",
        clusters=[cluster("c", server="https://second")],
        contexts=[context("x", cluster="c", user="u", namespace="n")],
        users=[{"name": "u", "user": {"token": "t"}}],
    )
    three = write(tmp_path / "three" / "config", current_context="y")
    (tmp_path / "one" / "ca.crt").write_bytes(b"PEM")
    choice = choose(read([tmp_path / "missing", one, two, three]), None)
    assert choice.cluster.text("server") == "https://first"
    assert choice.cluster.pem("certificate-authority") == b"PEM"
    assert choice.context.text("namespace") == "n"
    assert choice.user.text("token") == "t"


def test_a_context_may_have_no_user(tmp_path):
    path = write(tmp_path / "config", clusters=[cluster("c")], contexts=[context("x", cluster="c")])
    assert choose(read([path]), "x").user.values == {}


@pytest.mark.parametrize(
    ("content", "wanted", "message"),
    [
        ({}, None, "no current-context"),
        ({"current_context": "x"}, None, "no context 'x'. It has none at all"),
        ({"contexts": [context("a"), context("b")]}, "x", "no context 'x'. It has: a, b"),
        ({"contexts": [context("x", cluster="c")]}, "x", "no cluster 'c'"),
        (
            {"contexts": [context("x", cluster="c", user="u")], "clusters": [cluster("c")], "users": None},
            "x",
            "no user 'u'",
        ),
    ],
)
def test_what_is_missing_is_named(tmp_path, content, wanted, message):
    with pytest.raises(NoConfig, match=message):
        choose([(yaml.safe_load(write(tmp_path / "c", **content).read_text()), tmp_path)], wanted)


@pytest.mark.parametrize(("text", "message"), [("a: [", "cannot be read"), ("- a", "not a kubeconfig")])
def test_a_file_that_is_no_kubeconfig(tmp_path, text, message):
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(NoConfig, match=message):
        read([path])


def test_an_empty_file_counts_as_missing(tmp_path):
    path = tmp_path / "config"
    path.touch()
    assert read([path]) == []


def test_pem_inline_goes_before_a_file(tmp_path):
    inline = base64.b64encode(b"inline").decode()
    section = Section("u", {"key-data": inline, "key": "no-such-file"}, tmp_path)
    assert section.pem("key") == b"inline"
    assert section.pem("other") is None


def test_pem_that_cannot_be_had(tmp_path):
    section = Section("u", {"a-data": "%", "b": "missing"}, tmp_path)
    with pytest.raises(NoConfig, match="a-data of 'u' in the kubeconfig is not base64"):
        section.pem("a")
    with pytest.raises(NoConfig, match="missing cannot be read"):
        section.pem("b")
