# SPDX-License-Identifier: Apache-2.0
"""Small servers and clients, to be run in a network namespace: `responder.py KIND ADDRESS PORT [WORDS]`."""

import socket
import sys

SECONDS = 2.0


def main() -> None:
    """Do what KIND says; servers serve until they are killed."""
    kind, address, port, *words = sys.argv[1:]
    protocol, _, part = kind.partition("-")
    type_ = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, type_) as made:
        if part == "ask":
            ask(made, (address, int(port)), words[0])
            return
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, int(port)))
        if protocol == "tcp":
            made.listen()
        while True:
            serve(made, kind)


def ask(made: socket.socket, server: tuple[str, int], words: str) -> None:
    """Say something and print the answer."""
    made.settimeout(SECONDS)
    made.connect(server)
    made.send(words.encode())
    sys.stdout.write(made.recv(4096).decode())


def serve(made: socket.socket, kind: str) -> None:
    """Answer one client: with what it said, or with its own address; or print what it said, and answer that."""
    if kind == "tcp-peer":
        client, peer = made.accept()
        client.send(peer[0].encode())
        client.close()
        return
    data, peer = made.recvfrom(4096)
    if kind == "udp-log":
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    made.sendto(peer[0].encode() if kind == "udp-peer" else data, peer)


if __name__ == "__main__":
    main()
