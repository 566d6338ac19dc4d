#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
M=$(cat); printf 'Sending email: %s\n' "$M" >&2
