#!/usr/bin/env bash
# Asks the facts that crossinvoke relies on: of two accounts of yours (TOOLS_PROFILE, DEV_PROFILE), of what answers at
# ENDPOINT with these profiles, or of an AWS double that is started for it. Arguments go to run.py.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$here/../../build
pins=$here/../fakeaws/requirements.txt
venv=$build/aws-facts-venv

command -v python3 >/dev/null || { echo "aws-facts: Python 3 is missing" >&2; exit 2; }
mkdir -p "$build"
if ! cmp -s "$pins" "$venv/installed.txt"; then
  python3 -m venv --clear "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --requirement "$pins"
  cp "$pins" "$venv/installed.txt"
fi
run() { "$venv/bin/python" -B "$here/run.py" "$@"; }

if [ -n "${TOOLS_PROFILE:-}${DEV_PROFILE:-}" ]; then
  profiles=(--tools-profile "${TOOLS_PROFILE:-}" --dev-profile "${DEV_PROFILE:-}" ${REGION:+--region "$REGION"})
  if [ -n "${ENDPOINT:-}" ]; then
    run "${profiles[@]}" --place double --endpoint "$ENDPOINT" "$@"
  else
    run "${profiles[@]}" ${YES:+--yes} "$@"
  fi
  exit
fi

[ -z "${ENDPOINT:-}" ] || { echo "aws-facts: with ENDPOINT, set TOOLS_PROFILE and DEV_PROFILE as well" >&2; exit 2; }
folder=$(mktemp -d)
double=
cleanup() {
  if [ -n "$double" ]; then kill "$double" 2>/dev/null || true; fi
  rm -rf "$folder"
}
trap cleanup EXIT
mkfifo "$folder/endpoint"
"${FAKEAWS:?set FAKEAWS to the built double, or use make aws-facts}" --seed "$here/seed.json" >"$folder/endpoint" &
double=$!
read -r endpoint <"$folder/endpoint"
printf '[%s]\naws_access_key_id = %s\naws_secret_access_key = any\n' tools AKIAFACTSTOOLS dev AKIAFACTSDEV >"$folder/credentials"
export AWS_SHARED_CREDENTIALS_FILE=$folder/credentials AWS_CONFIG_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true
unset AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
echo "The AWS double is asked; TOOLS_PROFILE and DEV_PROFILE ask two accounts of yours."
run --tools-profile tools --dev-profile dev --place double --endpoint "$endpoint" ${REGION:+--region "$REGION"} "$@"
