#!/usr/bin/env bash
# Registers device certificates and lets the devices talk, in the two ways that need no registered CA:
#   1. "without CA": the certificate was made elsewhere, by a CA that nobody registers;
#   2. from a CSR: the device keeps its key, the service makes the certificate.
# The commands are those that AWS users know; only host and port differ. They need a running server (`npm start` in another terminal),
# the AWS CLI, openssl, curl and mosquitto's clients.
set -euo pipefail

fleetgate=$(cd "$(dirname "$0")/.." && pwd)/bin/fleetgate.js
export FLEETGATE_API_URL=${FLEETGATE_API_URL:-http://127.0.0.1:4566}
mqttPort=${FLEETGATE_MQTT_PORT:-8883}
eval "$("$fleetgate" env)" # the endpoint, development credentials, and `aws` as a function that also an old CLI understands
"$fleetgate" health > /dev/null # or one sentence about the server that is missing

work=$(mktemp -d)
cd "$work"
trap 'jobs -p | xargs -r kill 2>/dev/null; cd /; rm -rf "$work"' EXIT
step() { printf '\n== %s\n' "$1"; }
trap 'printf "\nStopped here. What the steps before made is still there; to begin anew, stop the server and delete its data folder.\n" >&2' ERR

step 'a CA of our own, which is never registered'
openssl req -x509 -newkey rsa:2048 -sha256 -nodes -keyout CA.key -out CA.crt -subj "/CN=example.com" -days 3650 2>/dev/null
ls CA.*

step 'a key and a certificate for device1, signed by it'
openssl genrsa -out device1.key 2048 2>/dev/null
openssl req -new -key device1.key -out device1.csr -subj "/CN=device1"
openssl x509 -req -in device1.csr -CA CA.crt -CAkey CA.key -CAcreateserial -days 365 -sha256 -out device1.crt 2>/dev/null
ls device1.*

step 'a policy that allows everything (never do this for a real fleet)'
cat > AllowAll.json <<'POLICY'
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "iot:*",
      "Resource": "*"
    }
  ]
}
POLICY
if aws iot get-policy --policy-name AllowAll --query policyArn --output text 2> /dev/null; then
  made= # by somebody else, in the first steps of the README perhaps: then it stays
else
  made=AllowAll
  aws iot create-policy --policy-name AllowAll --policy-document file://AllowAll.json --query policyArn --output text
fi

step 'register the certificate without its CA, activate it, attach the policy'
aws iot register-certificate-without-ca --certificate-pem file://device1.crt --output json | tee registered.json
certificateId=$(sed -n 's/.*"certificateId": "\(.*\)".*/\1/p' registered.json)
certificateArn=$(sed -n 's/.*"certificateArn": "\([^"]*\)".*/\1/p' registered.json)
aws iot update-certificate --certificate-id "$certificateId" --new-status ACTIVE
aws iot attach-policy --target "$certificateArn" --policy "AllowAll"

step 'where to connect, and whom to trust there'
endpointAddress=$(aws iot describe-endpoint --endpoint-type IoT:Data-ATS --query endpointAddress --output text)
curl -sS -O "$FLEETGATE_API_URL/repository/AmazonRootCA1.pem"
echo "$endpointAddress:$mqttPort"

# One device subscribes and publishes (certificate name, topic, message); done when the message has arrived.
talk() {
  stdbuf -oL mosquitto_sub -d --cert "$1.crt" --key "$1.key" --cafile AmazonRootCA1.pem -h "$endpointAddress" -p "$mqttPort" -t "$2" -C 1 -W 20 > "$1.log" 2>&1 &
  local subscriber=$!
  until grep -q SUBACK "$1.log"; do
    kill -0 "$subscriber" 2>/dev/null || { cat "$1.log"; "$fleetgate" explain last; exit 1; }
    sleep 0.05
  done
  mosquitto_pub --cert "$1.crt" --key "$1.key" --cafile AmazonRootCA1.pem -h "$endpointAddress" -p "$mqttPort" -t "$2" -m "$3" -q 1
  wait "$subscriber" || { cat "$1.log"; "$fleetgate" explain last; exit 1; }
  grep -Fx "$3" "$1.log"
}

step 'device1 talks'
talk device1 my/topic 'hello from a certificate without CA'

step 'device2: its key never leaves it, the service certifies the CSR'
openssl genrsa -out device2.key 2048 2>/dev/null
openssl req -new -key device2.key -out device2.csr -subj "/CN=device2"
certificate2Arn=$(aws iot create-certificate-from-csr --certificate-signing-request file://device2.csr --set-as-active \
  --certificate-pem-outfile device2.crt --query certificateArn --output text)
aws iot attach-policy --target "$certificate2Arn" --policy "AllowAll"
talk device2 my/topic 'hello from a certificate made from a CSR'

step 'clean up'
for arn in "$certificateArn" "$certificate2Arn"; do
  id=${arn##*/}
  aws iot detach-policy --target "$arn" --policy "AllowAll"
  aws iot update-certificate --certificate-id "$id" --new-status INACTIVE
  aws iot delete-certificate --certificate-id "$id"
done
if [[ $made ]]; then aws iot delete-policy --policy-name AllowAll; fi
echo 'done: both devices talked, nothing is left behind'
