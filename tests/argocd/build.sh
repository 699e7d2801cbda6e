#!/usr/bin/env bash
# Builds the pinned Argo CD (go.mod beside this file) into build/argocd, with its CRDs, once.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$here/../../build/argocd
module=github.com/argoproj/argo-cd/v3
mkdir -p "$out"
fail() {
  echo "argocd: $*" >&2
  exit 1
}
command -v redis-server >/dev/null || fail "redis-server is missing; Argo CD needs it (Debian, Fedora: apt or dnf install redis)"

stamp=$( (cat "$here/go.mod" "$here/go.sum") | (sha256sum 2>/dev/null || shasum -a 256) | cut -c1-16)
if [ -x "$out/argocd" ] && [ "$(cat "$out/.stamp" 2>/dev/null)" = "$stamp" ]; then exit 0; fi

# Argo CD asks for a newer Go than the rest; the Go command fetches it, also where GOTOOLCHAIN=local is set.
GOTOOLCHAIN=$(awk '$1 == "go" { print "go" $2; exit }' "$here/go.mod")
export GOTOOLCHAIN CGO_ENABLED=0 GOFLAGS=-mod=readonly
cd "$here"
echo "argocd: building Argo CD; this takes minutes the first time, and is then never done again"
go build -trimpath -ldflags "-s -w" -o "$out/argocd" "$module/cmd" || fail "it was not built; Go says why above"
rm -rf "$out/crds"
cp -r "$(go list -m -f '{{.Dir}}' "$module")/manifests/crds" "$out/crds"
chmod -R u+w "$out/crds"
echo "$stamp" >"$out/.stamp"
echo "argocd: built ($SECONDS s)"
