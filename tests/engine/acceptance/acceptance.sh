#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ENGINE=COMMAND acceptance.sh: everything that docker-notes.txt tells of, its own script verbatim (seed.sh); images.sh comes first.
set -euo pipefail
E=${ENGINE:?}; SEED=$(dirname "$0")/seed.sh; n=0; bad=0; T=$(mktemp -d); trap 'rm -rf "$T"' EXIT
docker() { timeout 60 "$E" "$@"; }
has() { grep "$@" >/dev/null; }   # not grep -q: with pipefail it kills the writer (SIGPIPE, rc 141)
ok() { n=$((n+1)); if (set +e; eval "$2"); then echo "ok $n - $1"; else echo "not ok $n - $1"; bad=$((bad+1)); fi; }
until_() { local t=$1 i; shift; for ((i=0;i<t*5;i++)); do eval "$*" && return 0; sleep .2; done; return 1; }
V0=$(docker volume ls -q | sort)
# 1. archives (notes 59-65)
docker save -o "$T/m.tar" busybox:latest
ok "tag, rmi, load" 'docker tag busybox:latest x/y:1 && docker rmi x/y:1 | has "^Untagged: x/y:1" && docker load -i "$T/m.tar" | has "^Loaded image: busybox:latest"'
ok "save of the notes' typo fails" '! docker save -o "$T/no.tar" busybox.latest 2>/dev/null'
# 2. the seed's own lines, verbatim
. "$SEED" >/dev/null
ok "four full ids" '[[ $SQL_CID$MAILER_CID$WP_CID$AGENT_CID =~ ^[0-9a-f]{256}$ ]]'
ok "ps -lq is the agent" '[[ $(docker ps --latest --quiet) == ${AGENT_CID:0:12} ]]'
ok "all running" '[[ $(docker inspect -f "{{.State.Status}}" $SQL_CID $MAILER_CID $WP_CID $AGENT_CID | sort -u) == running ]]'
# 3. links (42-43, 78-84)
IPW=$(docker inspect -f '{{.NetworkSettings.IPAddress}}' $WP_CID)
ok "link env" 'docker exec $AGENT_CID env | has -x "INSIDEWEB_PORT_80_TCP=tcp://$IPW:80"'
ok "env of the linked" 'docker exec $WP_CID env | has -x MYSQL_ENV_MYSQL_ROOT_PASSWORD=ch2demo'
ok "link hosts" 'docker exec $AGENT_CID cat /etc/hosts | has -E "^$IPW[[:space:]]+insideweb ${WP_CID:0:12}"'
ok "no forward link" '! docker create --link nosuch:x busybox 2>/dev/null'
# 4. -p 80
P=$(docker port $WP_CID 80 | head -1 | cut -d: -f2)
ok "published" 'until_ 30 "curl -s -o /dev/null -w %{http_code} -m 5 http://127.0.0.1:$P/ | has -E \"^(200|302)\""'
# 5. --read-only, anonymous volumes with trailing slash, image VOLUME
ok "rootfs read-only" '! docker exec $WP_CID touch /x 2>/dev/null'
ok "volumes writable" 'docker exec $WP_CID touch /run/apache2/ok /run/lock/apache2/ok'
ok "mounts" '[[ $(docker inspect -f "{{range .Mounts}}{{.Destination}} {{.Type}} {{.RW}};{{end}}" $WP_CID | tr ";" "\n" | grep -cE "^/run/(lock/)?apache2 volume true") == 2 ]]'
# 6. logs, exec, top
ok "agent logs" 'until_ 20 "docker logs $AGENT_CID | has \"System up.\""'
ok "logs -f" '{ timeout 4 "$E" logs -f $AGENT_CID || true; } | tail -1 | has "System up."'
ok "exec rc 7" 'docker exec $AGENT_CID sh -c "exit 7"; [[ $? == 7 ]]'
ok "top" 'docker top $MAILER_CID | has "nc -ll"'
# 7. the web dies: agent mails, agent exits 0
docker stop -t 1 $WP_CID >/dev/null
ok "mail was sent" 'until_ 15 "docker logs $MAILER_CID 2>&1 | has \"The service is down\""'
ok "agent exited 0" 'until_ 5 "[[ \$(docker inspect -f \"{{.State.Status}} {{.State.ExitCode}}\" $AGENT_CID) == \"exited 0\" ]]"'
ok "dependant does not start" '! docker start $AGENT_CID 2>/dev/null'
# 8. removal
ok "rm refuses running" '! docker rm $SQL_CID 2>/dev/null'
docker rm -f -v $SQL_CID $MAILER_CID $WP_CID $AGENT_CID >/dev/null
ok "no volume left behind" '[[ $(docker volume ls -q | sort) == "$V0" ]]'
# 9. the other notes
ok "closed" 'docker run --rm --network none busybox ip -o addr | has -v " lo " ; [[ $(docker run --rm --network none busybox ip -o link | grep -c .) == 1 ]]'
J=$(docker run -d busybox sleep 60)
ok "joined" '[[ $(docker run --rm --network container:$J busybox hostname) == ${J:0:12} ]]'
ok "shared pid" 'docker run --rm --pid container:$J busybox ps | has "1 root .*sleep 60"'
docker rm -f $J >/dev/null
ok "open" '[[ $(docker run --rm --network host busybox hostname) == $(hostname) ]]'
R=$(docker run -d --restart=on-failure:2 busybox sh -c "echo x; exit 5")
ok "restart on-failure:2" 'until_ 10 "[[ \$(docker inspect -f \"{{.State.Status}} {{.RestartCount}} {{.State.ExitCode}}\" $R) == \"exited 2 5\" ]]" && [[ $(docker logs $R | grep -c x) == 3 ]]'
docker rm -f $R >/dev/null
ok "entrypoint" '[[ $(docker run --rm --entrypoint=/bin/echo busybox a b) == "a b" ]]'
ok "env" '[[ $(docker run --rm -e A=1 --env B="two words" busybox sh -c "echo \$A-\$B") == "1-two words" ]]'
ok "host dir is created, ro" 'docker run --rm -v "$T/new/dir:/d:ro" busybox sh -c "! touch /d/x 2>/dev/null" && [[ -d $T/new/dir ]]'
for c in "0 true" "3 sh -c 'exit 3'" "127 nosuch" "126 /etc"; do ok "run rc ${c%% *}" "docker run --rm busybox ${c#* } 2>/dev/null; [[ \$? == ${c%% *} ]]"; done
ok "run rc 125" 'docker run --foo busybox 2>/dev/null; [[ $? == 125 ]]'
echo "$n checks, $bad failed"; exit $((bad>0))
