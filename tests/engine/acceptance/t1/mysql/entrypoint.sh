#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The first start makes the database, whose password must be given; every start becomes the server.
set -e
if [ ! -d /var/lib/mysql/mysql ]; then
    if [ -z "$MYSQL_ROOT_PASSWORD" ]; then
        echo >&2 'error: database is uninitialized and MYSQL_ROOT_PASSWORD not set'
        exit 1
    fi
    mariadb-install-db --datadir=/var/lib/mysql --user=root --auth-root-authentication-method=normal --skip-test-db > /dev/null 2>&1
    mkdir -p /run/mysqld
    cat > /var/lib/mysql/init.sql <<Q
CREATE USER IF NOT EXISTS 'root'@'%' IDENTIFIED BY '$MYSQL_ROOT_PASSWORD';
GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;
ALTER USER 'root'@'localhost' IDENTIFIED BY '$MYSQL_ROOT_PASSWORD';
CREATE DATABASE IF NOT EXISTS wordpress;
Q
    set -- "$@" --init-file=/var/lib/mysql/init.sql
fi
exec "$@"
