#!/bin/sh
# shellcheck source=../../scripts/guest/lib.sh
# inside.sh: what runs in every guest: Eyrie, and a door through which outside.py has commands run (port 2222: a shell,
# one connection at a time). Ends when /tmp/done appears.
. /lib.sh
# What the guest needs before Eyrie starts; leaves the command that starts it in "$@".
# shellcheck source=/dev/null
. /before.sh

"$@" > /tmp/out 2> /tmp/log &
eyrie=$!
echo $eyrie > /tmp/pid
check "eyrie run is ready with every stream" 'rtsp://10.0.2.15:8554/.*ready\|$' \
  sh -c 'for i in $(seq 300); do grep -q ready /tmp/out && break; sleep 0.1; done; cat /tmp/out'
nc -ll -p 2222 -e /bin/sh &
echo EYRIE-READY
until [ -e /tmp/done ] || ! kill -0 $eyrie; do sleep 0.2; done
kill -TERM $eyrie
wait $eyrie
check "SIGTERM ends it with status 0" '^0\|$' echo $?
[ "$FAILED" = 0 ] || cat /tmp/log
finish
