# SPDX-License-Identifier: Apache-2.0
"""The systemd driver: a container's cgroup as a unit of systemd's, mostly a scope.

unit.py         the unit that linux.cgroupsPath names, pure
properties.py   limits as properties of it, pure;  annotations.py  further ones, pure
bus.py          a connection by D-Bus;  manager.py  the calls that we make
scope.py        the cgroup that systemd makes around the set-up process

Imported only where --systemd-cgroup was given to `create` or `run`, or stands in the record.
"""
