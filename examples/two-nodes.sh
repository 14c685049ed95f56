#!/usr/bin/env bash
# Two nodes, one Redis, and clients that are not ours: what Signalbox is for, in ten seconds.
#
#   examples/two-nodes.sh [path/to/signalbox]
#
# Starts redis-server on a free port and two nodes on free ports of 127.0.0.1, then lets
# two-nodes.py hold a conversation across them. Ends everything it started. The exit code is 0 only
# if every expected message arrived in time. Needs redis-server and python3; builds the binary and
# installs Python's `websockets` under target/ when they are missing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
target=${CARGO_TARGET_DIR:-$root/target}
binary=${1:-$target/release/signalbox}
websockets='websockets>=13,<17'

work=$(mktemp -d "${TMPDIR:-/tmp}/two-nodes.XXXXXX")
started=()
declare -A node_pid

finish() {
    local code=$?
    trap - EXIT
    # Nodes before Redis, so that they can say goodbye to it.
    local at
    for ((at = ${#started[@]} - 1; at >= 0; at--)); do
        kill "${started[at]}" 2>/dev/null || true
        until_true gone "${started[at]}" || kill -KILL "${started[at]}" 2>/dev/null || true
    done
    if ((code != 0)); then
        for log in "$work"/*.log; do
            if [[ -s $log ]]; then
                printf '\n--- %s\n' "$(basename "$log")"
                tail -n 20 "$log"
            fi
        done >&2
    fi
    rm -rf "$work"
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    printf 'error: %s\n' "$1" >&2
    exit 1
}

# Runs a command again, ten times a second for at most ten seconds, until it succeeds.
until_true() {
    local attempt
    for ((attempt = 0; attempt < 100; attempt++)); do
        "$@" && return 0
        sleep 0.1
    done
    return 1
}

gone() {
    ! kill -0 "$1" 2>/dev/null
}

python_with_websockets() {
    local venv=$root/target/venv
    if python3 -c 'import websockets.asyncio.client' 2>/dev/null; then
        command -v python3
        return
    fi
    if ! "$venv/bin/python" -c 'import websockets.asyncio.client' 2>/dev/null; then
        python3 -m venv "$venv" >"$work/pip.log" 2>&1
        timeout 120 "$venv/bin/pip" install --quiet --disable-pip-version-check \
            "$websockets" >>"$work/pip.log" 2>&1
    fi
    printf '%s\n' "$venv/bin/python"
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

redis_answers() {
    [[ $(redis-cli -h 127.0.0.1 -p "$1" ping 2>/dev/null) == PONG ]]
}

# Sets $redis_port. Another process may take the port first: then try the next.
start_redis() {
    local attempt
    for attempt in 1 2 3 4 5; do
        redis_port=$(free_port)
        redis-server --bind 127.0.0.1 --port "$redis_port" --dir "$work" --save '' --appendonly no \
            >"$work/redis.log" 2>&1 &
        local pid=$!
        if until_true redis_answers_or_gone "$pid" && ! gone "$pid"; then
            started+=("$pid")
            return 0
        fi
        kill "$pid" 2>/dev/null || true
        printf 'redis-server did not start (attempt %s)\n' "$attempt" >&2
    done
    return 1
}

redis_answers_or_gone() {
    gone "$1" || redis_answers "$redis_port"
}

# Starts a node on a port that the kernel picks; address_of tells it.
start_node() {
    local name
    # Only what is said here shall configure it.
    local clean=(env -u RUST_LOG)
    for name in $(compgen -e SIGNALBOX_ || true); do
        clean+=(-u "$name")
    done
    "${clean[@]}" "$binary" serve --listen 127.0.0.1:0 --redis "redis://127.0.0.1:$redis_port/0" \
        >"$work/node-$1.log" 2>&1 &
    started+=($!)
    node_pid[$1]=$!
}

address_of() {
    sed -n 's/.* listening .*address=\([0-9.:]*\).*/\1/p' "$work/node-$1.log"
}

listens() {
    [[ -n $(address_of "$1") ]]
}

listens_or_gone() {
    listens "$1" || gone "${node_pid[$1]}"
}

await_node() {
    until_true listens_or_gone "$1" || true
    listens "$1" || fail "node $1 does not listen"
}

for tool in redis-server redis-cli python3; do
    command -v "$tool" >/dev/null || fail "$tool is missing: install it (Debian: apt-get install redis-server python3)"
done
if [[ ! -x $binary ]]; then
    printf 'building %s ...\n' "$binary"
    (cd "$root" && cargo build --release --quiet --bin signalbox)
fi
python=$(python_with_websockets) || fail "Python's websockets package could not be installed"

start_redis || fail "redis-server could not be started"
start_node one
start_node two
await_node one
await_node two

# Whatever proxy is set up, these addresses are here.
export no_proxy=127.0.0.1 NO_PROXY=127.0.0.1
timeout 60 "$python" "$here/two-nodes.py" "$(address_of one)" "$(address_of two)"
