# SPDX-License-Identifier: Apache-2.0
"""`port`: which ports of the host lead to a container."""

from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = ()


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Print the ports that are published, or those of one port of the container."""
    del flags
    from pyoci.engine.containers import description, state
    from pyoci.engine.containers.record import Records

    container = Records(places).find(arguments[0])
    name = state.current(container)["Status"]
    ports = description.network_settings(container, name)["Ports"]
    if len(arguments) == 1:
        for port in sorted(ports, key=lambda text: (int(text.partition("/")[0]), text)):
            for row in ports[port] or ():
                print(f"{port} -> {address(row)}")
        return 0
    port, _, protocol = arguments[1].partition("/")
    rows = ports.get(f"{port}/{protocol or 'tcp'}")
    if not rows:
        raise EngineError(f"No public port '{arguments[1]}' published for {arguments[0]}")
    print("".join(f"{address(row)}\n" for row in rows), end="")
    return 0


def address(row: dict[str, str]) -> str:
    """Return an address with its port; one with colons in brackets."""
    host = row["HostIp"]
    return f"[{host}]:{row['HostPort']}" if ":" in host else f"{host}:{row['HostPort']}"
