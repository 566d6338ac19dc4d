# SPDX-License-Identifier: Apache-2.0
"""The configuration file with keys of Docker's daemon.json: what containers and networks get of it."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sides import IMAGE, Pypod
from test_networks import address, serve
from topology import Topology

pytestmark = pytest.mark.root
Configure = Callable[..., None]
REACHED = "until nc -w 3 {} 80 </dev/null | grep hello; do sleep 0.1; done"


@pytest.fixture
def configure(networked: Pypod, topology: Topology) -> Iterator[Configure]:
    """Write the file, and have the default network's bridge made anew, as after a boot."""
    file = networked.directory / "pypod.json"

    def write(**keys: Any) -> None:
        file.write_text(json.dumps({name.replace("_", "-"): value for name, value in keys.items()}))
        topology.host("ip", "link", "del", "pypod0")

    networked.environment["PYPOD_CONFIG"] = str(file)
    yield write
    networked.remove_all()
    write()
    del networked.environment["PYPOD_CONFIG"]


def test_containers_of_the_default_network_are_kept_apart(
    networked: Pypod, configure: Configure
) -> None:
    """daemon.json's icc=false: a link opens what its target exposes; without the key all reach all again."""
    configure(icc=False)
    serve(networked, "server", "--expose", "80")
    there = address(networked, "server")
    ask = ["run", "--rm", IMAGE, "nc", "-w", "2", there, "80"]
    assert networked(*ask).stdout == ""
    linked = ["run", "--rm", "--link", "server:near", IMAGE, "sh", "-c", REACHED.format("near")]
    assert networked.output(*linked) == "hello server\n"
    assert networked(*ask).stdout == ""
    inspect = ("network", "inspect", "-f", "{{json .Options}}", "bridge")
    name = "com.docker.network.bridge.enable_icc"
    assert json.loads(networked.output(*inspect))[name] == "false"
    networked.remove_all()
    configure()
    serve(networked, "server")
    assert address(networked, "server") == there
    open_ = ["run", "--rm", IMAGE, "sh", "-c", REACHED.format(there)]
    assert networked.output(*open_) == "hello server\n"
    assert json.loads(networked.output(*inspect))[name] == "true"


def test_the_default_network_has_the_address_that_is_configured(
    networked: Pypod, configure: Configure
) -> None:
    """daemon.json's bip: the gateway, with the length of the subnet."""
    configure(bip="10.88.7.9/24")
    serve(networked, "server")
    assert address(networked, "server") == "10.88.7.1"
    assert networked.field("server", "{{.NetworkSettings.Gateway}}") == "10.88.7.9"
    form = "{{range .IPAM.Config}}{{.Subnet}} {{.Gateway}}{{end}}"
    inspected = networked.output("network", "inspect", "-f", form, "bridge")
    assert inspected == "10.88.7.0/24 10.88.7.9\n"
    configure(bip="10.99.7.9/24")
    serve(networked, "other")
    assert address(networked, "other") == "10.88.7.2"  # one runs there: not before it has ended


def test_networks_are_taken_from_the_pools(networked: Pypod, configure: Configure) -> None:
    """daemon.json's default-address-pools, one after another, less what is taken."""
    serve(networked, "first")  # by which the default network has its subnet
    pools = [{"base": "10.77.0.0/29", "size": 30}, {"base": "10.78.0.0/16", "size": 24}]
    configure(default_address_pools=pools)
    form = "{{range .IPAM.Config}}{{.Subnet}} {{.Gateway}}{{end}}"
    found = []
    for name in ("one", "two", "three"):
        networked.output("network", "create", name)
        found.append(networked.output("network", "inspect", "-f", form, name).strip())
    wanted = ["10.77.0.0/30 10.77.0.1", "10.77.0.4/30 10.77.0.5", "10.78.0.0/24 10.78.0.1"]
    assert found == wanted
    configure(default_address_pools=[{"base": "10.77.0.0/16", "size": 8}])
    ran = networked("network", "create", "four")
    assert (ran.code, ran.stderr.startswith("Error: default-address-pools: ")) == (1, True)


def test_containers_get_what_they_do_not_ask_for(networked: Pypod, configure: Configure) -> None:
    """daemon.json's log-driver, log-opts, dns, default-ulimits; options of another driver are not taken over."""
    configure(
        log_driver="k8s-file",
        log_opts={"max-size": "1m", "max-file": "3"},
        dns=["192.0.2.1"],
        dns_opts=["ndots:3"],
        dns_search=["example.org"],
        default_ulimits={"nofile": {"Name": "nofile", "Soft": 100, "Hard": 200}},
    )
    script = "cat /etc/resolv.conf; ulimit -n; ulimit -Hn"
    said = networked.output("run", "--name", "one", IMAGE, "sh", "-c", script)
    assert said == "search example.org\nnameserver 192.0.2.1\noptions ndots:3\n100\n200\n"
    form = "{{json .HostConfig.LogConfig}}"
    logged = {"Type": "k8s-file", "Config": {"max-file": "3", "max-size": "1m"}}
    assert json.loads(networked.field("one", form)) == logged
    asked = ["--dns", "192.0.2.7", "--ulimit", "nofile=7:8", "--log-opt", "max-file=2"]
    said = networked.output("run", "--name", "two", *asked, IMAGE, "sh", "-c", script)
    assert said.endswith("nameserver 192.0.2.7\noptions ndots:3\n7\n8\n")
    logged["Config"]["max-file"] = "2"
    assert json.loads(networked.field("two", form)) == logged
    networked.output("create", "--name", "three", "--log-driver", "json-file", IMAGE)
    assert json.loads(networked.field("three", form)) == {"Type": "json-file", "Config": {}}
    assert networked.output("info", "-f", "{{.LoggingDriver}}") == "k8s-file\n"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"icc": "no"}, "icc: must be a JSON boolean"),
        ({"dns": "192.0.2.1"}, "dns: must be a JSON array"),
        ({"log_opts": {"max-size": 1}}, "log-opts: each must be a JSON string"),
        ({"default_ulimits": {"nofile": {"Soft": 1}}}, "default-ulimits: strconv.ParseInt"),
        ({"log_driver": "nosuch"}, "error looking up logging plugin nosuch"),
        ({"bip": "10.0.0.1"}, "bip: invalid CIDR address: 10.0.0.1"),
    ],
)
def test_what_is_wrong_is_named(
    keys: dict[str, Any], words: str, networked: Pypod, configure: Configure
) -> None:
    configure(**keys)
    ran = networked("run", "--rm", IMAGE, "true")
    assert (ran.code, words in ran.stderr) == (125, True), ran
    assert networked.output("ps", "-aq") == ""
