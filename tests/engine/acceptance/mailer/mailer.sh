#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The book's loop (MESSAGE=$(nc -l -p 33333)) loses about 1 message in 7 with Debian's busybox: nc -l may see its own stdin EOF first.
printf "CH2 Example Mailer has started.\n"
exec nc -ll -p 33333 -e /mailer/recv.sh
