# SPDX-License-Identifier: Apache-2.0
"""What `network create` may be asked by --driver, --opt, --ipam-driver and --scope: checked in the words of Docker's daemon."""

from pyoci.engine.errors import EngineError
from pyoci.engine.networks import addresses
from pyoci.engine.networks.records import HOST_ADDRESS, ICC, MASQUERADE, MTU
from pyoci.flags import BOOLEANS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.networks.creation import Wish

BRIDGE_NAME = "com.docker.network.bridge.name"
# Drivers that there are once only.
_SINGLE = ("host", "null")
# Docker's other drivers: the first two make no bridge and have no rules of ours, the third is Swarm's.
_OTHERS = ("macvlan", "ipvlan", "overlay")
_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_ALLOWED = _LETTERS | frozenset("0123456789_.-")
_LONGEST_DEVICE = 15  # IFNAMSIZ without its end
# Options that would keep others out or let them in, and that are not carried out: all but these values are refused.
_NOT_CARRIED_OUT = {
    "com.docker.network.bridge.gateway_mode_ipv4": ("", "nat"),
    "com.docker.network.bridge.gateway_mode_ipv6": ("", "nat"),
    "com.docker.network.bridge.inhibit_ipv4": ("", "0", "f", "F", "FALSE", "false", "False"),
    "com.docker.network.bridge.trusted_host_interfaces": ("",),
    "com.docker.network.host_ipv4": ("",),
    "com.docker.network.host_ipv6": ("",),
}


def check(wish: "Wish") -> None:
    """Refuse what no network of ours can be."""
    if wish.is_configuration and (
        wish.internal or wish.attachable or wish.is_ingress or wish.scope
    ):
        raise EngineError(
            "configuration network can only contain network specific fields. Network operator fields like"
            " [ ingress | internal | attachable | scope ] are not supported."
        )
    if wish.is_ingress:
        raise EngineError("Ingress network can only be global scope network")
    if wish.scope not in ("", "local"):
        raise EngineError(f"invalid scope {wish.scope}: there is no swarm, networks are local")
    if wish.driver in _SINGLE:
        raise EngineError(f'only one instance of "{wish.driver}" network is allowed')
    if wish.driver in _OTHERS:
        raise EngineError(f'driver "{wish.driver}" is not supported: networks of pypod are bridges')
    if wish.driver != "bridge":
        raise EngineError(f'plugin "{wish.driver}" not found')
    if wish.ipam_driver != "default":
        raise EngineError(f'plugin "{wish.ipam_driver}" not found')
    for name, value in wish.options.items():
        _check_option(name, value)


def _check_option(name: str, value: str) -> None:
    failed = f"failed to parse {name} value: {value}"
    if name in (ICC, MASQUERADE) and value not in BOOLEANS:
        raise EngineError(f'{failed} (strconv.ParseBool: parsing "{value}": invalid syntax)')
    if name == MTU:
        if not value.removeprefix("-").removeprefix("+").isdecimal():
            raise EngineError(f'{failed} (strconv.Atoi: parsing "{value}": invalid syntax)')
        if int(value) < 0:
            raise EngineError(f"invalid MTU number: {value}")
    if name == HOST_ADDRESS and not _is_address(value):
        raise EngineError(f"{failed} (nil ip)")
    if name == BRIDGE_NAME:
        _check_bridge(value)
    if value not in _NOT_CARRIED_OUT.get(name, (value,)):
        raise EngineError(f"driver option {name}={value} is not supported")


def _is_address(text: str) -> bool:
    try:
        addresses.pack(text)
    except ValueError:
        return False
    return True


def _check_bridge(name: str) -> None:
    """Refuse a name that a device, or a table of nftables in the words of nft(8), cannot have."""
    if len(name) > _LONGEST_DEVICE:
        raise EngineError(f"invalid bridge name: {name}: at most {_LONGEST_DEVICE} letters")
    if name and (name[0] not in _LETTERS or not _ALLOWED.issuperset(name)):
        raise EngineError(f"invalid bridge name: {name}: only [a-zA-Z][a-zA-Z0-9_.-] are allowed")
