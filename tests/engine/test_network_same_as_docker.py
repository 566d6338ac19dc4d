# SPDX-License-Identifier: Apache-2.0
"""Networks: the same commands to pypod and to Docker, which say the same."""

import pytest
from sides import NetworkedOracle, Pypod, same
from test_same_as_docker import words_of

SERVER = "sh -c while\xa0true;do\xa0echo\xa0hello|nc\xa0-l\xa0-p\xa080;done"
SCRIPTS = {
    "publishing": """
        run -d --name one -p 8080:80 box sleep 1000
        port one
        port one 80
        port one 80/tcp
        port one 81
        ps --format {{.Names}}\xa0{{.Ports}}
        run --rm --name six -p 8080:80 box true
        run --name two -p 8080:80 box true
        ps -a --format {{.Names}}\xa0{{.Ports}}
        rm two
        run -d --name three -p 8081-8083:81-83 -p 127.0.0.1:5353:53/udp --expose 99 box sleep 1000
        port three
        ps --format {{.Names}}\xa0{{.Ports}}
        run -d --name four -p 8084-8085:80 box sleep 1000
        run -d --name five -p 8084-8085:80 box sleep 1000
        run --rm --name six -p 8084-8085:80 box true
        port five
        stop -t 0 one
        port one
        ps -a --filter name=one --format {{.Names}}\xa0{{.Ports}}
        inspect -f {{json\xa0.NetworkSettings.Ports}}\xa0{{json\xa0.HostConfig.PortBindings}} one
        inspect -f {{json\xa0.NetworkSettings.Ports}}\xa0{{json\xa0.HostConfig.PortBindings}} three
        start one
        port one
        run --rm --name six -p 192.0.2.1:80:80 box true
        run --rm --network host -p 80:80 box true
    """,
    "random": """
        run -d --name one -p 80 --expose 81 box sleep 1000
        port one
        run -d --name two -P --expose 80-81 --expose 53/udp box sleep 1000
    """,
    "documents": """
        create --name one box sleep 1000
        inspect -f {{json\xa0.NetworkSettings}} one
        start one
        inspect -f {{.NetworkSettings.IPAddress}}\xa0{{.NetworkSettings.Gateway}}\xa0{{.NetworkSettings.MacAddress}} one
        inspect -f {{.NetworkSettings.Networks.bridge.IPAddress}}\xa0{{.NetworkSettings.Networks.bridge.IPPrefixLen}} one
        inspect -f {{.HostConfig.NetworkMode}}\xa0{{json\xa0.NetworkSettings.Ports}} one
        network inspect -f {{range\xa0.Containers}}{{.Name}}\xa0{{.IPv4Address}}\xa0{{.MacAddress}}{{end}} bridge
        network inspect -f {{(index\xa0.IPAM.Config\xa00).Subnet}}\xa0{{.Scope}}\xa0{{.Driver}}\xa0{{.Internal}} bridge
        network inspect -f {{.Name}}\xa0{{.Driver}} host none
        exec one cat /etc/hosts
        exec one ip route
        run --rm --add-host a.b:1.2.3.4 --hostname name --domainname example.org box cat /etc/hosts
        run --rm --dns 1.2.3.4 --dns-search x.y --dns-option ndots:3 box cat /etc/resolv.conf
        run --rm --add-host gate:host-gateway box grep gate /etc/hosts
        run --rm --ip 172.17.0.9 box true
        run --rm --network-alias x box true
        run --rm --network nosuch box true
        run --name kept --network nosuch box true
        ps -a --filter name=kept --format {{.Names}}\xa0{{.State}}
    """,
    "networks": """
        network ls
        network ls --format {{.Name}}\xa0{{.Driver}}\xa0{{.Scope}}\xa0{{.Internal}}\xa0{{.IPv6}}
        network create one
        network create one
        network create --subnet 172.30.0.0/16 --ip-range 172.30.5.0/24 --gateway 172.30.5.254 --label a=b two
        network create --subnet 172.30.9.0/24 three
        network create --subnet 10.1.0.0/24 --gateway 10.2.0.1 three
        network create --gateway 10.2.0.1 three
        network create --subnet 10.1.0.0/24 --subnet 10.1.0.0/16 three
        network create --subnet 10.1.0.0/240 three
        network create --subnet foo three
        network create -d foo three
        network create -d host three
        network create bridge
        network create --internal inner
        network ls --format {{.Name}}\xa0{{.Driver}}\xa0{{.Internal}}
        network ls -q --filter label=a=b --filter name=two
        network ls --filter type=custom --format {{.Name}}
        network ls --filter type=foo
        network ls --filter foo=foo
        network inspect -f {{json\xa0.IPAM.Config}}\xa0{{json\xa0.Labels}}\xa0{{json\xa0.Options}}\xa0{{.EnableIPv6}} two
        network inspect nosuch
        inspect --type network -f {{.Name}} two
        network rm nosuch
        network rm bridge
        network rm host
        run -d --name c1 --network two box sleep 1000
        inspect -f {{json\xa0.NetworkSettings.Networks.two.IPAMConfig}}\xa0{{.NetworkSettings.Networks.two.IPAddress}} c1
        inspect -f {{.NetworkSettings.Networks.two.Gateway}}\xa0{{.NetworkSettings.Networks.two.IPPrefixLen}} c1
        inspect -f {{.NetworkSettings.IPAddress}}|{{.HostConfig.NetworkMode}} c1
        run -d --name c2 --network two --ip 172.30.7.7 --network-alias other box sleep 1000
        inspect -f {{json\xa0.NetworkSettings.Networks.two.IPAMConfig}}\xa0{{.NetworkSettings.Networks.two.IPAddress}} c2
        inspect -f {{json\xa0.NetworkSettings.Networks.two.Aliases}} c2
        exec c1 cat /etc/resolv.conf
        run --rm --network two --ip 172.30.7.7 box true
        run --rm --network two --ip 10.0.0.7 box true
        run --rm --network one --ip 10.0.0.7 box true
        network rm two
        network rm two one
        network prune -f
        rm -f c1 c2
        network prune -f
        network prune -f
        network ls --format {{.Name}}
    """,
    "connecting": """
        network create one
        network create two
        run -d --name c1 box sleep 1000
        network connect one c1
        network connect one c1
        network connect --alias nick two c1
        inspect -f {{range\xa0$k,\xa0$v\xa0:=\xa0.NetworkSettings.Networks}}{{$k}};{{end}} c1
        network disconnect one c1
        network disconnect one c1
        network connect nosuch c1
        network connect one nosuch
        network disconnect nosuch c1
        network connect host c1
        network disconnect bridge c1
        inspect -f {{range\xa0$k,\xa0$v\xa0:=\xa0.NetworkSettings.Networks}}{{$k}};{{end}} c1
        run -d --name c2 --network none box sleep 1000
        network connect one c2
        run -d --name c3 --network host box sleep 1000
        network connect one c3
        run -d --name c4 --network container:c1 box sleep 1000
        network connect one c4
        create --name c5 box true
        network connect one c5
        inspect -f {{range\xa0$k,\xa0$v\xa0:=\xa0.NetworkSettings.Networks}}{{$k}};{{end}} c5
        network rm one
        start c5
        ps -a --filter name=c[1-4] --format {{.Names}}\xa0{{.Networks}}
        ps -a --filter network=two --format {{.Names}}
    """,
    "options": """
        network create --subnet 172.29.0.0/16 -o com.docker.network.bridge.enable_icc=false shut
        run -d --name srv --network shut --expose 80 box sh -c while\xa0true;do\xa0echo\xa0hello|nc\xa0-l\xa0-p\xa080;done
        run --rm --network shut box ping -c 1 -W 1 srv
        run --rm --network shut box nc -w 2 srv 80
        network create -o com.docker.network.bridge.enable_icc=foo x
        network create -o com.docker.network.bridge.enable_ip_masquerade=foo x
        network create -o com.docker.network.driver.mtu=foo x
        network create -o com.docker.network.driver.mtu=-1 x
        network create -o com.docker.network.bridge.host_binding_ipv4=foo x
        network create -o com.docker.network.driver.mtu=1400 m
        network create -o com.docker.network.bridge.host_binding_ipv4=127.0.0.1 -o com.docker.network.bridge.name=mine h
        network create -o foo=bar o
        network inspect -f {{json\xa0.Options}} shut m h o
        run --rm --network m box cat /sys/class/net/eth0/mtu
        run -d --name local --network h -p 8080:80 box sleep 1000
        port local
        run --rm --name sctp -p 90:90/sctp box true
        network create --subnet 10.1.0.0/24 --ip-range 10.1.0.128/25 --aux-address a=10.1.0.129 --aux-address b=10.1.0.130 aux
        run -d --name aux1 --network aux box sleep 1000
        inspect -f {{.NetworkSettings.Networks.aux.IPAddress}} aux1
        run --rm --network aux --ip 10.1.0.129 box true
        network create --subnet 10.2.0.0/24 --ip-range 10.3.0.128/25 x
        network create --subnet 10.2.0.0/24 --aux-address a=10.3.0.128 x
        network create --subnet 10.2.0.0/24 --aux-address foo x
        network create --subnet 10.2.0.0/24 --gateway foo x
        network create --subnet 10.2.0.0/24 --gateway 10.2.0.0 x
        network create --subnet 10.2.0.0/24 --gateway 10.2.0.255 x
        network create --subnet 10.2.0.0/24 --aux-address a=10.2.0.1 x
        network create --subnet 10.2.0.0/31 x
        network create --subnet 10.2.0.0/30 --aux-address a=10.2.0.2 tiny
        run --rm --network tiny box true
        network create --ipam-driver foo x
        network create --ipam-opt a=b --scope local io
        network inspect -f {{json\xa0.IPAM.Options}}\xa0{{.Scope}} io
        network create --ingress x
        network create -d null x
    """,
    "configurations": """
        network create --config-only --ipv6 --subnet 10.8.0.0/24 --subnet fd00:8::/64 --label a=b shape
        network create --config-only --internal x
        network create --config-from nosuch x
        network create --config-from shape --subnet 10.1.0.0/16 x
        network create --config-from shape --internal made
        network inspect -f {{.Internal}}{{.EnableIPv6}}{{json\xa0.Labels}}{{json\xa0.ConfigFrom}}{{.ConfigOnly}} made
        network inspect -f {{json\xa0.IPAM.Config}}{{.Driver}}{{.ConfigOnly}} shape
        run --rm --network shape box true
        run -d --name one --network made box sleep 1000
        inspect -f {{.NetworkSettings.Networks.made.IPAddress}} one
        network rm shape
        network prune -f
        rm -f one
        network rm made shape
    """,
    "wishes": """
        network create --subnet 172.30.0.0/16 one
        run --rm --network name=one,foo=bar box true
        run --rm --network name=one,ip=foo box true
        run --rm --network alias=foo box true
        run --rm --network name=one,mac-address=foo box true
        run --rm --network name=one,gw-priority=x box true
        run --rm --network name=one,driver-opt=x box true
        run --rm --network name=one,x box true
        run --rm --network one --network one box true
        run --rm --network one --network bridge box true
        run --rm --network name=one,ip=172.30.0.5 --ip 172.30.0.6 box true
        run --rm --network name=one,ip6=fd00::1 --ip6 fd00::2 box true
        run --rm --network name=one,alias=a --network-alias b box true
        run --rm --network name=one,link-local-ip=169.254.1.1 --link-local-ip 169.254.1.2 box true
        run --rm --network name=one,mac-address=02:00:00:00:00:01 --mac-address 02:00:00:00:00:02 box true
        run --rm --network one --ip6 1.2.3.4 box true
        run --rm --network one --mac-address foo box true
        create --network one --ip foo box true
        create --mac-address foo box true
        run --name far --network one --link-local-ip foo box true
        run -d --name near --network name=one,alias=nick,ip=172.30.5.5,link-local-ip=169.254.34.68 box sleep 1000
        inspect -f {{json\xa0.NetworkSettings.Networks.one.IPAMConfig}}{{.NetworkSettings.Networks.one.GwPriority}} near
        exec near sh -c ip\xa0-4\xa0addr\xa0show\xa0eth0|grep\xa0-o\xa0inet.*/16
        run --rm --link-local-ip 169.254.34.69 box sh -c ip\xa0-4\xa0addr\xa0show\xa0eth0|grep\xa0-o\xa0169.*/16
        run --rm --network container: box true
        run --rm --network none --ip 1.2.3.4 box true
        run --rm --network host --ip 1.2.3.4 box true
        run --rm --net one --net-alias foo box sh -c ping\xa0-c\xa01\xa0-W\xa03\xa0foo|grep\xa0-o\xa0bytes.from
        run --rm --dns foo box true
        run --rm --dns-search foo..bar box true
        run --rm --dns-search 1.2 box true
        run --rm --dns-search -a.b box true
        run --rm --dns-search a.b --dns-search c.d box cat /etc/resolv.conf
        run --rm --dns-search . --network one box cat /etc/resolv.conf
        run --rm --dns-option timeout:1 --dns-opt attempts:1 box cat /etc/resolv.conf
        run --rm --dns 1.2.3.4 --network none box cat /etc/resolv.conf
        run --rm --add-host foo box true
        run --rm --add-host foo:bar box true
        run --rm --add-host foo=1.2.3.4 box grep foo /etc/hosts
        run --rm --add-host foo:[::1] box grep foo /etc/hosts
        run --rm --add-host foo:::1 box grep foo /etc/hosts
        network connect --driver-opt foo one near
        run --rm -p 70000:1 box true
        run --rm -p 1:70000 box true
        run --rm -p foo:80 box true
        run --rm -p 1.2.3:80:80 box true
        run --rm -p 80/foo box true
        run --rm -p 10-12:20-21 box true
        run --rm -p 12-10:20 box true
        run --rm -p 80: box true
        run --rm --expose foo box true
        run --rm --expose 1-70000 box true
    """,
    "names": """
        network create --subnet 172.30.0.0/24 one
        run -d --name server --network one --network-alias nick --hostname other box sleep 1000
        run --rm --network one box sh -c nslookup\xa0server|grep\xa0-A1\xa0Name
        run --rm --network one box sh -c nslookup\xa0nick|grep\xa0-A1\xa0Name
        run --rm --network one box sh -c nslookup\xa0server.one|grep\xa0-A1\xa0Name
        run --rm --network one --link server:near box sh -c nslookup\xa0near|grep\xa0-A1\xa0Name
        run --rm --network one box sh -c nslookup\xa0172.30.0.2|grep\xa0name
    """,
}  # fmt: skip


@pytest.mark.root
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_says_the_same(
    name: str, networked: Pypod, networked_oracle: NetworkedOracle
) -> None:
    """Issue 6: `alias docker=pypod` must serve."""
    differences = []
    for line in SCRIPTS[name].splitlines():
        words = words_of(line.strip())
        if words:
            theirs, ours = same(networked_oracle(*words)), same(networked(*words))
            if ours != theirs:
                differences.append(f"{line.strip()}\n  docker {theirs}\n  pypod  {ours}")
    assert not differences, "\n".join(differences)
