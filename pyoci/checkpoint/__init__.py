# SPDX-License-Identifier: Apache-2.0
"""Checkpoint and restore, through the program criu (criu.org/RPC).

messages.py     the messages of criu's protocol, as bytes
criu.py         the program: found, started, talked with, explained
private.py      mounts that only we and criu see
outside.py      what of a container lies outside of it: mounts, namespaces, pipes
places.py       where they are attached, made in a root that lacks them
dump.py         checkpoint;  restoration.py  restore, as another way to create
"""
