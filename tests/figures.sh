#!/usr/bin/env bash
# Prints the figures of this checkout: calls, memory, binary size, and the times of the tests, cold and warm.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=$(cargo metadata --format-version=1 --no-deps --offline --locked | sed -E 's|.*"target_directory":"([^"]*)".*|\1|')
cold=$(mktemp -d)
trap 'rm -rf "$cold"' EXIT

echo "building the release binary (minutes the first time) …" >&2
cargo build --release --workspace --locked --quiet --bin crossinvoke
cargo build --workspace --locked --quiet --bin figures
"$target/debug/figures" --controller "$target/release/crossinvoke"
echo "release binary: $(($(wc -c <"$target/release/crossinvoke") / 1024)) KiB"

tests() { # what
  local begun=$SECONDS
  if ! env -u CARGO_TARGET_DIR make --directory "$cold/clone" test >"$cold/log" 2>&1; then
    tail -50 "$cold/log" >&2
    echo "figures: the tests do not pass" >&2
    exit 1
  fi
  echo "make test, $1: $((SECONDS - begun)) s"
}
# What is committed, as somebody else would get it; the caches of Cargo's and Go's downloads are this machine's.
git clone --quiet . "$cold/clone"
echo "running make test in a fresh clone, twice (many minutes) …" >&2
tests "fresh clone"
tests "again"
