#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# grace period until the first success (the seed starts everything without waiting), then as in the book
up() { printf "GET / HTTP/1.0\r\n\r\n" | nc -w 2 $INSIDEWEB_PORT_80_TCP_ADDR $INSIDEWEB_PORT_80_TCP_PORT | grep -Eq 'HTTP/1.. (200|302)'; }
i=0; until up || [ $i -ge 30 ]; do i=$((i+1)); sleep 1; done
while true; do
  if up; then echo "System up."
  else
    for k in 1 2 3; do printf "To: admin@work  Message: The service is down!" | nc -w 2 $INSIDEMAILER_PORT_33333_TCP_ADDR $INSIDEMAILER_PORT_33333_TCP_PORT && break; sleep 1; done
    exit 0
  fi
  sleep 1
done
