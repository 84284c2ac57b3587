"""Every Pod has its own address; Services lead to ready Pods, by name and from outside."""

from __future__ import annotations

import http.client
import socket

import pytest

from tests.integration.node.conftest import python, service

SERVE = python(
    """
    import http.server, os
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if not os.path.exists("sick") else 500)
            self.end_headers()
            self.wfile.write(os.environ["HOSTNAME"].encode())
        def log_message(self, *_): pass
    print("serving", flush=True)
    http.server.ThreadingHTTPServer(("", 8786), Handler).serve_forever()
    """
)
READY = {
    "readinessProbe": {"httpGet": {"port": 8786}, "periodSeconds": 1, "failureThreshold": 1},
    "ports": [{"name": "web", "containerPort": 8786}],
}
FETCH = (
    "import sys, urllib.request as r; [print(r.urlopen(f'http://{u}').read().decode()) for u in sys.argv[1:]]"
)


def serve(cluster, name, **labels):
    cluster.run(*SERVE, name=name, container=READY, meta={"labels": {"app": "web", **labels}})


def fetch(cluster, inside, *addresses, check=True):
    """Ask each address from inside a Pod; return what it answered, line by line."""
    command = ("exec", inside, "--", "python", "-c", FETCH, *addresses)
    return cluster.kubectl(*command, check=check).splitlines()


def get(address, port):
    connection = http.client.HTTPConnection(address, port, timeout=5)
    connection.request("GET", "/")
    answer = connection.getresponse().read().decode()
    connection.close()
    return answer


@pytest.fixture
def web(cluster):
    serve(cluster, "one", number="1")
    serve(cluster, "two", number="2")
    cluster.apply(
        service("web", selector={"app": "web"}, port=80, target="web"),
        service("first", selector={"number": "1"}, port=8786, target=8786, type="NodePort"),
        service("balanced", selector={"number": "2"}, port=8786, target="web", type="LoadBalancer"),
        service("headless", selector={"number": "2"}, port=8786, target=8786, clusterIP="None"),
    )
    for name in ("one", "two"):
        cluster.wait("Ready", name)
    return cluster


def test_same_port_on_every_pod_and_names_in_all_forms(web):
    addresses = {web.get(name)["status"]["podIP"] for name in ("one", "two")}
    assert len(addresses) == 2
    here = web.namespace
    domains = ("", f".{here}", f".{here}.svc", f".{here}.svc.cluster.local")
    assert fetch(web, "two", *(f"first{domain}:8786" for domain in domains)) == ["one"] * 4
    # A port below 1024 needs rights to listen on, not to reach from a Pod.
    others = fetch(web, "one", "headless:8786", "localhost:8786", *["web"] * 8)
    assert others[:2] == ["two", "one"]
    assert set(others[2:]) <= {"one", "two"}


def test_from_outside(web):
    first, balanced = web.get("first", "service"), web.get("balanced", "service")
    assert get(first["spec"]["clusterIP"], 8786) == "one"
    assert get("127.0.0.1", first["spec"]["ports"][0]["nodePort"]) == "one"
    assert get(balanced["status"]["loadBalancer"]["ingress"][0]["ip"], 8786) == "two"


def test_nobody_ready_refuses_connections(web):
    address = web.get("first", "service")["spec"]["clusterIP"]
    web.kubectl("exec", "one", "--", "touch", "sick")
    web.wait("{.status.conditions[?(@.type=='Ready')].status}=False", "one")
    web.kubectl("wait", "--for=jsonpath={.subsets[0].notReadyAddresses}", "endpoints/first", "--timeout=5s")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, 8786), timeout=5).close()
    assert "Connection refused" in fetch(web, "two", "first:8786", check=False)[-2]


def test_endpoints(web):
    addresses = {web.get(name)["status"]["podIP"] for name in ("one", "two")}
    (subset,) = web.get("web", "endpoints")["subsets"]
    assert {each["ip"] for each in subset["addresses"]} == addresses
    (made,) = [
        each
        for each in [web.get("web-local", "endpointslice")]
        if each["metadata"]["labels"]["kubernetes.io/service-name"] == "web"
    ]
    assert {each["addresses"][0] for each in made["endpoints"]} == addresses
    web.kubectl("delete", "service", "web")
    web.kubectl("wait", "--for=delete", "endpoints/web", "endpointslice/web-local", "--timeout=10s")


def test_unknown_cluster_names_fail_at_once(cluster):
    text = f"import socket; socket.getaddrinfo('nobody.{cluster.namespace}.svc', 80)"
    cluster.run("python", "-c", text, restartPolicy="Never")
    cluster.wait("{.status.phase}=Failed")
    assert "Name or service not known" in cluster.kubectl("logs", "p")


def test_what_a_program_takes_for_its_own_address(cluster):
    text = """
        import asyncio, socket
        probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        probe.connect(("192.0.2.1", 80))
        print(probe.getsockname()[0])
        print(socket.gethostbyname(socket.gethostname()))
        six = socket.create_server(("::", 9006), family=socket.AF_INET6)
        print(six.getsockname()[0].removeprefix("::ffff:"))
        async def main():
            for host in (None, "", "0.0.0.0"):
                server = await asyncio.start_server(lambda r, w: None, host, 0)
                print(*{sock.getsockname()[0] for sock in server.sockets})
        asyncio.run(main())
        print(socket.create_connection(("localhost", 9006)).getpeername()[0])
    """
    cluster.run(*python(text), restartPolicy="Never")
    cluster.wait("{.status.phase}=Succeeded")
    assert set(cluster.kubectl("logs", "p").split()) == {cluster.get("p")["status"]["podIP"]}


def test_the_users_own_sitecustomize_runs_too(cluster, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("print('mine')")
    env = [{"name": "PYTHONPATH", "value": str(tmp_path)}]
    cluster.run("python", "-c", "import socket; print(socket.gethostname())", container={"env": env},
                restartPolicy="Never")  # fmt: skip
    cluster.wait("{.status.phase}=Succeeded")
    assert cluster.kubectl("logs", "p").split() == ["mine", "p"]


def test_host_network_is_the_machines(cluster):
    cluster.run("sleep", "60", hostNetwork=True)
    cluster.wait("Ready")
    assert cluster.get("p")["status"]["podIP"] == "127.0.0.1"
