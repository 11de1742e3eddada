#!/bin/sh
# Shows the model what was denied since it was last shown: exit status 2 passes stderr to it.
[ -s "$RINGFENCE_DENIALS" ] || exit 0
seen="${TMPDIR:-/tmp}/ringfence-denials-shown"
from=$(cat "$seen" 2>/dev/null || echo 0)
size=$(wc -c < "$RINGFENCE_DENIALS")
[ "$size" -gt "$from" ] || exit 0
echo "$size" > "$seen"
echo "Ringfence denied this:" >&2
tail -c +"$((from + 1))" "$RINGFENCE_DENIALS" >&2
exit 2
