# SPDX-License-Identifier: Apache-2.0
"""`network create`: make a network."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("attachable", "", "", "Enable manual container attachment"),
    ("aux-address", "", "map", "Auxiliary IPv4 or IPv6 addresses used by Network driver (default map[])"),
    ("config-from", "", "string", "The network from which to copy the configuration"),
    ("config-only", "", "", "Create a configuration only network"),
    ("driver", "d", "string", 'Driver to manage the Network (default "bridge")'),
    ("gateway", "", "strings", "IPv4 or IPv6 Gateway for the master subnet"),
    ("ingress", "", "", "Create swarm routing-mesh network"),
    ("internal", "", "", "Restrict external access to the network"),
    ("ip-range", "", "strings", "Allocate container ip from a sub-range"),
    ("ipam-driver", "", "string", 'IP Address Management Driver (default "default")'),
    ("ipam-opt", "", "map", "Set IPAM driver specific options (default map[])"),
    ("ipv4", "", "", "Enable or disable IPv4 address assignment (default true)"),
    ("ipv6", "", "", "Enable or disable IPv6 address assignment"),
    ("label", "", "label", "Set metadata on a network"),
    ("opt", "o", "map", "Set driver specific options (default map[])"),
    ("scope", "", "string", "Control the network's scope"),
    ("subnet", "", "strings", "Subnet in CIDR format that represents a network segment"),
)  # fmt: skip


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Make a network and print its id."""
    from pyoci.engine.containers.environment import pairs
    from pyoci.engine.containers.record import Records
    from pyoci.engine.networks.creation import Wish, create
    from pyoci.engine.networks.records import Networks

    wish = Wish(arguments[0], flags.text("driver", "bridge"))
    wish.subnets, wish.ranges = _parts(flags, "subnet"), _parts(flags, "ip-range")
    wish.gateways = _parts(flags, "gateway")
    wish.auxiliary = pairs(flags.every("aux-address"))
    wish.options, wish.labels = pairs(flags.every("opt")), pairs(flags.every("label"))
    wish.internal, wish.ipv6 = flags.is_on("internal"), flags.is_on("ipv6")
    wish.ipv4 = flags.is_on("ipv4") or not flags.is_given("ipv4")
    wish.ipam_driver, wish.scope = flags.text("ipam-driver", "default"), flags.text("scope")
    wish.ipam_options, wish.is_ingress = pairs(flags.every("ipam-opt")), flags.is_on("ingress")
    wish.config_from, wish.is_configuration = flags.text("config-from"), flags.is_on("config-only")
    wish.attachable = flags.is_on("attachable")
    print(create(places, Networks(Records(places).database), wish).id)
    return 0


def _parts(flags: "Flags", name: str) -> list[str]:
    return [part for text in flags.every(name) for part in text.split(",")]
