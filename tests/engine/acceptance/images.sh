#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ENGINE=COMMAND images.sh t0|t1 WORKDIR: build the images that acceptance.sh needs, offline but for Debian's packages.
# t0: everything is busybox. t1: MariaDB, WordPress and Apache of Debian, from a debootstrap and the .deb files in WORKDIR.
set -euo pipefail
ENGINE=${ENGINE:?} tier=$1 work=$2
here=$(cd "$(dirname "$0")" && pwd)
environment='ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
mkdir -p "$work"

make_busybox() {
    local root=$work/busybox applet
    rm -rf "$root"
    mkdir -p "$root"/{bin,etc,tmp,root,dev,proc,sys,run,var/log,usr/bin,home}
    chmod 1777 "$root/tmp"
    cp /bin/busybox "$root/bin/"
    for applet in $(busybox --list); do
        [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
    done
    printf '%s\n' root:x:0:0:root:/root:/bin/sh nobody:x:65534:65534::/:/bin/false > "$root/etc/passwd"
    echo root:x:0: > "$root/etc/group"
    tar -C "$root" -c . | "$ENGINE" import -c 'CMD ["sh"]' -c "$environment" - busybox:latest
}

make_debian() {
    local base=$work/debian
    [ -e "$base.tar" ] || {
        debootstrap --variant=minbase bookworm "$base" "${MIRROR:-http://deb.debian.org/debian}"
        tar -C "$base" --exclude='./proc/*' --exclude='./dev/*' --exclude='./var/cache/apt/*' -c . > "$base.tar"
    }
    "$ENGINE" import -c "$environment" "$base.tar" debian:bookworm
}

# Fetch packages with all that they need beyond the base, into the context of a build.
packages() {
    local name=$1
    shift
    mkdir -p "$work/$name/debs/partial"
    [ -e "$work/$name/.whole" ] || apt-get install --yes --quiet --download-only --no-install-recommends --reinstall \
        -o Dir::Cache::archives="$work/$name/debs" -o Dir::State::status="$work/debian/var/lib/dpkg/status" "$@"
    touch "$work/$name/.whole"
    cp -r "$here/t1/$name/." "$work/$name/"
}

make_busybox
for name in mailer agent; do
    "$ENGINE" build --network none -t "dockerinaction/ch2_$name" "$here/$name"
done
case $tier in
t0)
    "$ENGINE" build --network none -t mysql:5 "$here/t0/mysql"
    "$ENGINE" build --network none -t wordpress:4 "$here/t0/wordpress"
    ;;
t1)
    make_debian
    packages mysql mariadb-server-core mariadb-client-core
    packages wordpress apache2 libapache2-mod-php php-mysql wordpress
    "$ENGINE" build --network none -t mysql:5 "$work/mysql"
    "$ENGINE" build --network none -t wordpress:4 "$work/wordpress"
    ;;
esac
