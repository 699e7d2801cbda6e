#!/usr/bin/env bash
# Prints the figures of this checkout: calls, memory, binary size, and the times of the tests, cold and warm.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=$(cargo metadata --format-version=1 --no-deps --offline --locked | sed -E 's|.*"target_directory":"([^"]*)".*|\1|')
cold=$(mktemp -d)
trap 'rm -rf "$cold"' EXIT

echo "building the release binary (minutes the first time) …" >&2
cargo build --release --locked --quiet --package crossinvoke
cargo build --locked --quiet --package crossinvoke-harness --bins
"$target/debug/figures" --controller "$target/release/crossinvoke"
echo "release binary: $(($(wc -c <"$target/release/crossinvoke") / 1024)) KiB"

tests() { # what, target folder
  local begun=$SECONDS
  if ! CARGO_TARGET_DIR=$2 cargo test --workspace --locked --quiet >"$cold/log" 2>&1; then
    tail -50 "$cold/log" >&2
    echo "figures: the tests do not pass" >&2
    exit 1
  fi
  echo "cargo test, $1: $((SECONDS - begun)) s"
}
echo "running the tests with a cold and with a warm build cache (many minutes) …" >&2
tests "cold build cache" "$cold/target"
tests "warm build cache" "$cold/target"
