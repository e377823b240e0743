# The prologue of the script of a document: error reporting, and functions that start and stop a server.
set -Eeuo pipefail
shopt -s expand_aliases
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
trap 'echo "the block at $AT failed at: $BASH_COMMAND" >&2' ERR

# ghz exits with 0 even if calls fail, so its report is checked.
ghz() {
    command ghz "$@" >ghz.txt
    cat ghz.txt
    grep -q '\[OK\]' ghz.txt && ! grep -q 'Error distribution' ghz.txt
}

# Stops the previous server, if there is one.
end_server() {
    if [ -n "${SERVER-}" ]; then kill $SERVER; wait $SERVER || true; fi
}

# Waits until the server that was started last listens.
await_server() {
    SERVER=$!
    until (exec 3<>/dev/tcp/127.0.0.1/$PORT) 2>/dev/null; do
        kill -0 $SERVER 2>/dev/null || { cat server.txt >&2; exit 1; }
        sleep 0.1
    done
}
