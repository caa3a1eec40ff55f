#!/usr/bin/env bash
# Make what the benchmarks need, in .bench, and run one of them.
#
# usage: benchmarks/run.sh [argument of compare.py ...]      compare servers (compare.py)
#        benchmarks/run.sh figures [argument ...]            measure all figures of the docs (figures.py)
#        benchmarks/run.sh soak [argument ...]               full speed for long, clients killed (soak.py)
#
# It takes a C compiler, libnghttp2's headers and, for the Rust SDK's server, cargo. The load generator is a kit of its
# own: BENCH_KIT is its folder (default: ../shared/bench beside the repository). NO_RUST=1 leaves the Rust SDK out.
set -euo pipefail
cd "$(dirname "$0")/.."
kit=${BENCH_KIT:-../shared/bench}
python=${PYTHON:-python3}
if [ ! -f "$kit/loadgen.c" ]; then
    echo "benchmarks/run.sh: no loadgen.c in $kit; set BENCH_KIT to the folder of the load generator" >&2
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
mkdir -p .bench
if [ ! -e .bench/ours/made ]; then
    "$python" -m venv .bench/ours
    editable=()
    for package in packages/*/; do editable+=(-e "$package"); done
    .bench/ours/bin/pip install --quiet "${editable[@]}" -e 'packages/core[uvloop]'
    touch .bench/ours/made
fi
if [ ! -e .bench/peer/made ]; then
    "$python" -m venv .bench/peer
    .bench/peer/bin/pip install --quiet pynumaflow==0.14.0
    touch .bench/peer/made
fi
newer() { [ ! -e "$1" ] || [ "$2" -nt "$1" ]; }
if newer .bench/loadgen "$kit/loadgen.c"; then cc -O2 -o .bench/loadgen "$kit/loadgen.c" -lnghttp2; fi
if newer .bench/rpc_load benchmarks/rpc_load.c; then cc -O2 -o .bench/rpc_load benchmarks/rpc_load.c -lnghttp2; fi
if [ -z "${NO_RUST:-}" ]; then
    if ! command -v cargo >/dev/null; then
        echo "benchmarks/run.sh: install cargo (https://rustup.rs), or set NO_RUST=1" >&2
        exit 1
    fi
    cargo build --quiet --release --manifest-path benchmarks/rust_peer/Cargo.toml --target-dir .bench/rust
fi

program=compare
case ${1:-} in figures | soak) program=$1; shift ;; esac
exec .bench/ours/bin/python -m "benchmarks.$program" "$@"
