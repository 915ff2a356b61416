# shellcheck shell=dash
# lib.sh: in the guest as /lib.sh. Helpers for scripts that check what a program sees (". /lib.sh" at their top).
PASSED=0 FAILED=0

# check NAME REGEX COMMAND...: counts a pass when COMMAND's output, lines joined by "|", matches the extended REGEX.
check() {
  name=$1 want=$2
  shift 2
  output=$("$@" 2>&1)
  if echo "$output" | tr '\n' '|' | grep -Eq "$want"; then
    PASSED=$((PASSED + 1))
    echo "ok   $name"
  else
    FAILED=$((FAILED + 1))
    echo "FAIL $name: no $want in:"
    echo "$output" | cut -c1-2000 | sed 's/^/       /'
  fi
}

# until_true SECONDS COMMAND: waits until the shell COMMAND succeeds, at most SECONDS.
until_true() {
  tries=$(($1 * 10))
  until sh -c "$2" 2> /dev/null; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || return 1
    sleep 0.1
  done
}

# finish: the last line of a script; its status is the guest's.
finish() {
  dmesg | grep -E 'BUG:|WARNING:|Oops:' | head -5
  echo "in the guest: $PASSED passed, $FAILED failed"
  [ "$FAILED" = 0 ]
}
