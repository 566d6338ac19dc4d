#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
[ -n "$MYSQL_ROOT_PASSWORD" ] || { echo >&2 'error: MYSQL_ROOT_PASSWORD not set'; exit 1; }
echo "fake mysql ready"; while :; do printf '5.5-fake\n' | nc -l -p 3306 || sleep 1; done
