#!/usr/bin/env bash
# Renders the chart as a cluster would get it and writes tests/chart/*.golden.yaml; with --check it only compares.
set -euo pipefail

helm=$(cd "$(dirname "$1")" && pwd)/$(basename "$1") mode=${2:-write}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
chart=$here/../../charts/crossinvoke
rendered=$(mktemp -d)
trap 'rm -rf "$rendered"' EXIT
fail() { echo "chart: $*" >&2; exit 1; }

render() { # name, further arguments
  local name=$1
  shift
  "$helm" template crossinvoke "$chart" --namespace crossinvoke-system "$@" >"$rendered/$name.golden.yaml"
}
# The CRDs have goldens of their own in crds/.
render default --set crds.install=false
render all-values --set crds.install=false --values "$here/all-values.yaml"

for golden in default all-values; do
  if [ "$mode" = --check ]; then
    diff -u "$here/$golden.golden.yaml" "$rendered/$golden.golden.yaml" || fail "$golden changed; if that is meant, run make goldens"
  else
    cp "$rendered/$golden.golden.yaml" "$here/$golden.golden.yaml"
  fi
done

# Every CRD of the chart is installed, and stays when the release goes: with it every object would go.
expected=$(find "$chart/files/crds" -name '*.yaml' | wc -l)
"$helm" template crossinvoke "$chart" --show-only templates/crds.yaml >"$rendered/crds"
kept=$(grep -c '^    helm.sh/resource-policy: keep$' "$rendered/crds" || true)
[ "$kept" = "$expected" ] || fail "$kept of $expected CRDs are kept when the release is removed"

# Refusals that a user must understand.
refused() { # what it must say, arguments
  local says=$1 out
  shift
  if out=$("$helm" template crossinvoke "$chart" "$@" 2>&1); then fail "rendered, but should be refused: $*"; fi
  grep -q "$says" <<<"$out" || fail "refused without saying \"$says\": $out"
}
refused "1 to 20 lower-case letters" --set-string installationID=Not_An_Id
refused "incompatible with Kubernetes v1.32" --kube-version v1.32.0
