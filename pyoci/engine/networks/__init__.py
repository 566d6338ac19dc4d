# SPDX-License-Identifier: Apache-2.0
"""pypod's networks: each a bridge and a table of nftables of the same name, made anew from the database when they are gone."""
