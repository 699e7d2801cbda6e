#!/usr/bin/env bash
# Writes crds/ (one file per kind) and the chart's copy of it from `crossinvoke crds`; with --check it only compares.
# The chart has a copy because a chart cannot read files outside its own folder.
set -euo pipefail

crossinvoke=$1 mode=${2:-write}
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
generated=$(mktemp -d)
trap 'rm -rf "$generated"' EXIT

"$crossinvoke" crds >"$generated/all"
# Splits the documents; a file is named by its CRD's plural, the first part of its name.
awk -v folder="$generated" '
  function flush() {
    if (plural != "") printf "%s", document > (folder "/" plural ".yaml")
    document = ""; plural = ""; metadata = 0
  }
  /^---[[:space:]]*$/ { flush(); next }
  /^[^[:space:]]/ { metadata = ($1 == "metadata:") }
  metadata && plural == "" && /^ +name: / { plural = $2; sub(/\..*/, "", plural) }
  { document = document $0 "\n" }
  END { flush() }' "$generated/all"
rm "$generated/all"
if [ -z "$(ls "$generated")" ]; then
  echo "crds: $crossinvoke crds printed no CustomResourceDefinition" >&2
  exit 1
fi

for folder in crds charts/crossinvoke/files/crds; do
  if [ "$mode" = --check ]; then
    if ! diff -ru "$folder" "$generated"; then
      echo "crds: $folder is stale; run make crds and commit it" >&2
      exit 1
    fi
  else
    rm -rf "$folder"
    mkdir -p "$folder"
    cp "$generated"/*.yaml "$folder/"
  fi
done
