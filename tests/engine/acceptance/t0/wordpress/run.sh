#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
if touch /x 2>/dev/null; then echo >&2 'rootfs is writable'; exit 1; fi
echo $$ > /run/apache2/apache2.pid && touch /run/lock/apache2/lock || exit 1
i=0; until printf '' | nc -w 2 mysql 3306 | grep -q fake; do i=$((i+1)); [ $i -gt 20 ] && { echo >&2 'no mysql'; exit 1; }; sleep 0.2; done
[ "$MYSQL_ENV_MYSQL_ROOT_PASSWORD" = ch2demo ] || { echo >&2 'no link env'; exit 1; }
grep -q hello /var/www/html/index.html || { echo >&2 'image VOLUME was not copied up'; exit 1; }
exec httpd -f -p 80 -h /var/www/html
