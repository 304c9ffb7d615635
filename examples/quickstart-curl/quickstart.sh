#!/usr/bin/env bash
# The quickstart of the Functions API's document: steps 1 to 11, tokens, a private call. See README.md.
set -euo pipefail
cd "$(dirname "$0")"

# 1. Configure your environment variables.
: "${SCW_SECRET_KEY:?your secret key; on this machine: eval \"\$(fnkit platform env)\"}"
: "${SCW_DEFAULT_PROJECT_ID:?your project}"
: "${SCW_DEFAULT_REGION:=fr-par}"
API="${SCW_API_URL:-https://api.scaleway.com}/functions/v1beta1/regions/$SCW_DEFAULT_REGION"
RUNTIME="${RUNTIME:-python313}"
export no_proxy="${no_proxy:+$no_proxy,}127.0.0.1,localhost"
WORK="$(mktemp -d)"
SCW_NAMESPACE_ID=""

step() { printf '\n== %s\n' "$*"; }

api() { # METHOD PATH [BODY]: prints the answer; one that is no success goes to the error stream and ends the script
  local answer
  answer="$(curl -sS --fail-with-body -X "$1" "$API/$2" \
    -H "accept: application/json" \
    -H "X-Auth-Token: $SCW_SECRET_KEY" \
    -H "Content-Type: application/json" \
    ${3+-d "$3"})" || { echo "$1 $2: $answer" >&2; return 1; }
  echo "$answer"
}

settled() { # KIND ID: waits until it is neither pending nor creating; prints it
  local answer
  while answer="$(api GET "$1/$2")" && jq -e '.status | . == "pending" or . == "creating"' <<<"$answer" >/dev/null; do
    sleep "${POLL_SECONDS:-1}"
  done
  jq -e 'select(.status == "ready")' <<<"$answer" || { echo "not ready: $answer" >&2; return 1; }
}

call() { # EXPECTED_STATUS [CURL_ARGUMENTS]: calls the function; on this machine through the gateway, by its Host
  local expected="$1" status url="https://$DOMAIN_NAME/" host=()
  shift
  if [[ -n "${FNKIT_GATEWAY_URL:-}" ]]; then
    url="$FNKIT_GATEWAY_URL/"
    host=(-H "Host: $DOMAIN_NAME")
  fi
  status="$(curl -sS -o "$WORK/answer" -w '%{http_code}' ${host[@]+"${host[@]}"} "$@" "$url?name=curl")"
  echo "$status $(cat "$WORK/answer")"
  [[ "$status" == "$expected" ]] || { echo "expected $expected" >&2; return 1; }
}

clean_up() {
  rm -rf "$WORK"
  [[ -z "$SCW_NAMESPACE_ID" ]] || api DELETE "namespaces/$SCW_NAMESPACE_ID" >/dev/null
}
trap clean_up EXIT

quickstart() {
  step "2. A namespace"
  api POST namespaces "$(jq -n --arg project "$SCW_DEFAULT_PROJECT_ID" --arg name "quickstart-$RANDOM" '{
    name: $name,
    project_id: $project,
    environment_variables: {YOUR_VARIABLE: "content"}
  }')" | tee "$WORK/namespace.json" | jq -c '{id, name, status}'

  step "3. Its id"
  SCW_NAMESPACE_ID="$(jq -r .id "$WORK/namespace.json")"
  settled namespaces "$SCW_NAMESPACE_ID" | jq -c '{id, status}'

  step "4. The payload of a function"
  jq -n --arg namespace "$SCW_NAMESPACE_ID" --arg runtime "$RUNTIME" '{
    name: "function-name",
    namespace_id: $namespace,
    environment_variables: {GREETING: "hello"},
    min_scale: 0,
    max_scale: 5,
    runtime: $runtime,
    memory_limit: 128,
    timeout: "30s",
    handler: "handler.handle",
    privacy: "public",
    description: "made by the quickstart",
    secret_environment_variables: [{key: "PASSWORD", value: "a secret"}],
    http_option: "enabled"
  }' | tee "$WORK/function.json"

  step "5. The function"
  SCW_FUNCTION_ID="$(api POST functions "@$WORK/function.json" | jq -r .id)"
  echo "$SCW_FUNCTION_ID"

  step "6. Its code"
  python3 -m zipfile -c "$WORK/code.zip" handler.py
  local size url
  size="$(wc -c <"$WORK/code.zip" | tr -d ' ')"
  url="$(api GET "functions/$SCW_FUNCTION_ID/upload-url?content_length=$size" | jq -r .url)"
  curl -sS --fail-with-body -X PUT "$url" -H "Content-Type: application/octet-stream" --data-binary "@$WORK/code.zip"
  echo "$size bytes"

  step "7. Deploy"
  api POST "functions/$SCW_FUNCTION_ID/deploy" "{}" | jq -c '{id, status}'

  step "8. Its endpoint, once it is ready"
  DOMAIN_NAME="$(settled functions "$SCW_FUNCTION_ID" | jq -r .domain_name)"
  echo "$DOMAIN_NAME"

  step "9. Call it"
  call 200
}

tokens() {
  step "Generate a token"
  api POST tokens "$(jq -n --arg function "$SCW_FUNCTION_ID" '{
    description: "desc",
    expires_at: (now + 90 * 86400 | todate),
    function_id: $function
  }')" >"$WORK/token.json"
  TOKEN_ID="$(jq -r .id "$WORK/token.json")"
  jq -c '{id, status, expires_at}' "$WORK/token.json"

  step "The tokens of the function; a token can be read once, when it is made"
  api GET "tokens?function_id=$SCW_FUNCTION_ID" | jq -c '.tokens[] | {id, token}'

  step "Make the function private"
  api PATCH "functions/$SCW_FUNCTION_ID" '{"privacy": "private"}' | jq -c '{status, privacy}'
  settled functions "$SCW_FUNCTION_ID" >/dev/null
  settled tokens "$TOKEN_ID" >/dev/null

  step "Without the token: 403"
  call 403

  step "With it"
  call 200 -H "X-Auth-Token: $(jq -r .token "$WORK/token.json")"

  step "Revoke it"
  api DELETE "tokens/$TOKEN_ID" | jq -c '{id, status, token}'
}

farewell() {
  step "10. Logs"
  echo "At Scaleway: the Serverless Functions Logs dashboard of your Cockpit."
  echo "On this machine: logs/$SCW_FUNCTION_ID in the platform's data folder."

  step "11. Destroy the namespace, with all functions and cron jobs"
  api DELETE "namespaces/$SCW_NAMESPACE_ID" | jq -c '{id, status}'
  SCW_NAMESPACE_ID=""
}

quickstart
tokens
farewell
