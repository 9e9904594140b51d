#!/usr/bin/env bash
# Inside the VM: every test of a list of test programs, each in a process of its own with a deadline.
#
#   tests/vm/each.sh LIST PATTERN
set -uo pipefail
list=$1
pattern=$2
seconds=${WHARF_VM_TEST_SECONDS:-900}
# A real file system: an overlay's changes want one, and an index cannot be mounted from tmpfs.
export TMPDIR=/var/tmp

# Runs one test: $1 is the directory of its package, $2 the program, $3 the test.
one() {
    local began=$SECONDS log name
    name="$(basename "$2" | sed 's/-[0-9a-f]*$//')::$3"
    log=$(mktemp /tmp/test.XXXXXX)
    # timeout signals the whole process group, so that a daemon does not stay behind its test.
    (cd "$1" && timeout -k 10 "$seconds" "$2" --exact "$3" --nocapture) >"$log" 2>&1
    local code=$?
    case $code in
    0) echo "ok    $((SECONDS - began))s $name" ;;
    124 | 137)
        echo "SLOW  $((SECONDS - began))s $name: not done within its deadline"
        tail -n 40 "$log" | sed 's/^/    /'
        ;;
    *)
        echo "FAIL  $((SECONDS - began))s $name: exit code $code"
        tail -n 60 "$log" | cut -c 1-600 | sed 's/^/    /'
        ;;
    esac
    rm -f "$log"
    return 0
}
export -f one
export seconds

echo "kernel $(uname -r), $(stat -fc %T /sys/fs/cgroup) on /sys/fs/cgroup, limit of a test ${seconds}s"
results=/tmp/results
asked=0
while IFS=$'\t' read -r directory program; do
    (cd "$directory" && "$program" --list --format terse) </dev/null >/tmp/names ||
        { echo "$program does not list its tests" && exit 70; }
    sed -n 's/: test$//p' /tmp/names | grep -E "$pattern" >/tmp/queue
    asked=$((asked + $(wc -l </tmp/queue)))
    xargs -r -d '\n' -n 1 -P "${WHARF_VM_JOBS:-2}" bash -c 'one "$@"' each "$directory" "$program" </tmp/queue 2>&1
done <"$list" > >(tee $results)
wait
passed=$(grep -c '^ok    ' $results)
failed=$(grep -cE '^(FAIL|SLOW)  ' $results)
echo "of $asked tests $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ] && [ "$passed" -eq "$asked" ]
