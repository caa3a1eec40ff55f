#!/usr/bin/env bash
# Measure our servers against pynumaflow 0.14, case by case, and print one line for each.
#
# usage: benchmarks/run.sh [quick|all] [option of compare.py ...]
#
# The load generator and compare.py are a kit of their own: set BENCH_KIT to its folder (default: ../shared/bench beside
# the repository). It takes a C compiler and libnghttp2's headers. The environments are made in .bench.
set -euo pipefail
cd "$(dirname "$0")/.."
kit=${BENCH_KIT:-../shared/bench}
python=${PYTHON:-python3}
if [ ! -f "$kit/compare.py" ]; then
    echo "benchmarks/run.sh: no compare.py in $kit; set BENCH_KIT to the folder of the load generator" >&2
    exit 1
fi
if ! echo '#include <nghttp2/nghttp2.h>' | cc -E - >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq libnghttp2-dev >/dev/null
    else
        echo "benchmarks/run.sh: install libnghttp2's headers (Debian: libnghttp2-dev)" >&2
        exit 1
    fi
fi
if [ ! -x .bench/ours/bin/python ]; then
    "$python" -m venv .bench/ours
    editable=()
    for package in packages/*/; do editable+=(-e "$package"); done
    .bench/ours/bin/pip install --quiet "${editable[@]}" -e 'packages/core[uvloop]'
fi
if [ ! -x .bench/peer/bin/python ]; then
    "$python" -m venv .bench/peer
    .bench/peer/bin/pip install --quiet pynumaflow==0.14.0
fi

cc -O2 -o .bench/rpc_load benchmarks/rpc_load.c -lnghttp2

mode=all
case ${1:-} in quick | all) mode=$1; shift ;; esac
compare() {
    echo "# $*"
    "$python" "$kit/compare.py" --ours "$PWD/.bench/ours/bin/python benchmarks/server.py {kind} {mode} {sock}" \
        --peer-python "$PWD/.bench/peer/bin/python" "$@"
}

if [ "$mode" = quick ]; then
    compare --cases map:sync,map:async,map:multiproc --rounds 1 "$@"
    exit
fi
compare --cases map:sync,map:async,map:multiproc "$@"
compare --cases transform:sync,transform:async,transform:multiproc "$@"
compare --cases sink:sync,sink:async,sink:multiproc "$@"
compare --cases batchmap:sync,batchmap:async,batchmap:multiproc "$@"
compare --cases mapstream:sync,mapstream:async,mapstream:multiproc "$@"
compare --cases map:sync,map:async --payload 1024 "$@"
compare --cases map:sync,map:async --payload 10240 --n 40000 --peer-n 10000 "$@"
compare --cases map:sync,map:async --payload 102400 --n 6000 --peer-n 3000 "$@"
compare --cases map:sync,map:async --payload 1048576 --window 50 --n 600 --peer-n 300 "$@"
compare --cases map:sync,map:async --window 1 --n 8000 --peer-n 4000 "$@"
for keys in 1 1000; do
    compare --cases reduce:sync,reduce:async --keys "$keys" "$@"
done

# rpcs KIND MODE...: our servers of a kind and pynumaflow's, if it has that kind, called in turns by rpc_load.
rpcs() {
    local kind=$1 folder pids=() socks=() mode
    shift
    folder=$(mktemp -d)
    for mode in "$@"; do
        socks+=("$folder/ours-$mode")
        .bench/ours/bin/python benchmarks/server.py "$kind" "$mode" "$folder/ours-$mode" &
        pids+=("$!")
    done
    if [ "$kind" != servingstore ]; then
        socks+=("$folder/pynumaflow")
        .bench/peer/bin/python benchmarks/peer.py "$kind" "$folder/pynumaflow" >"$folder/log" 2>&1 &
        pids+=("$!")
    fi
    trap 'kill "${pids[@]}" 2>/dev/null' EXIT
    for sock in "${socks[@]}"; do
        until [ -S "$sock" ]; do
            kill -0 "${pids[@]}" # a server that could not start ends this script
            sleep 0.1
        done
    done
    echo "# $kind"
    .bench/rpc_load "$kind" 15 "${socks[@]}"
    kill "${pids[@]}"
    wait "${pids[@]}" || true # pynumaflow's ends by the signal
    trap - EXIT
    rm -r "$folder"
}
rpcs source sync async
rpcs sideinput sync async
rpcs servingstore sync async

export BURN_US=100
for workers in 1 2; do
    echo "# 100 us of CPU per message, $workers worker(s)"
    WORKERS=$workers compare --cases map:multiproc,transform:multiproc,sink:multiproc,batchmap:multiproc,mapstream:multiproc \
        --n 40000 --peer-n 2000 "$@"
    WORKERS=$workers compare --cases reduce:multiproc --keys 1000 --n 40000 --peer-n 2000 "$@"
done
