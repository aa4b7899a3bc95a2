#!/usr/bin/env bash
# Registers a CA of our own, after proving that we have its key, and then a device certificate under it: what one did before certificates could be
# registered without their CA, and still does where a CA shall vouch for its devices.
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
member() { sed -n 's/.*"'"$1"'": "\([^"]*\)".*/\1/p' "$2"; } # of an answer that was kept

step 'a CA of our own'
openssl req -x509 -newkey rsa:2048 -sha256 -nodes -keyout CA.key -out CA.crt -subj "/CN=example.com" -days 3650 2>/dev/null
ls CA.*

step 'the proof that we have its key: it signs a certificate with the registration code of this account as its name'
registrationCode=$(aws iot get-registration-code --query registrationCode --output text)
openssl genrsa -out verificationCert.key 2048 2>/dev/null
openssl req -new -key verificationCert.key -out verificationCert.csr -subj "/CN=$registrationCode"
openssl x509 -req -in verificationCert.csr -CA CA.crt -CAkey CA.key -CAcreateserial -out verificationCert.pem -days 500 -sha256 2>/dev/null
openssl x509 -in verificationCert.pem -noout -subject -issuer

step 'register the CA, ready for device certificates'
aws iot register-ca-certificate --ca-certificate file://CA.crt --verification-certificate file://verificationCert.pem --set-as-active \
  --output json | tee ca.json
caCertificateId=$(member certificateId ca.json)
aws iot describe-ca-certificate --certificate-id "$caCertificateId" \
  --query 'certificateDescription.[status,certificateMode,autoRegistrationStatus]' --output text

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

step 'register the certificate under the CA, activate it, attach the policy'
aws iot register-certificate --certificate-pem file://device1.crt --ca-certificate-pem file://CA.crt --output json | tee registered.json
certificateId=$(member certificateId registered.json)
certificateArn=$(member certificateArn registered.json)
aws iot update-certificate --certificate-id "$certificateId" --new-status ACTIVE
aws iot attach-policy --target "$certificateArn" --policy "AllowAll"
aws iot list-certificates-by-ca --ca-certificate-id "$caCertificateId" --query 'certificates[].[certificateId,status,certificateMode]' --output text

step 'where to connect, and whom to trust there'
endpointAddress=$(aws iot describe-endpoint --endpoint-type IoT:Data-ATS --query endpointAddress --output text)
curl -sS -O "$FLEETGATE_API_URL/repository/AmazonRootCA1.pem"
echo "$endpointAddress:$mqttPort"

step 'device1 talks'
stdbuf -oL mosquitto_sub -d --cert device1.crt --key device1.key --cafile AmazonRootCA1.pem -h "$endpointAddress" -p "$mqttPort" -t my/topic \
  -C 1 -W 20 > device1.log 2>&1 &
subscriber=$!
until grep -q SUBACK device1.log; do
  kill -0 "$subscriber" 2>/dev/null || { cat device1.log; "$fleetgate" explain last; exit 1; }
  sleep 0.05
done
mosquitto_pub --cert device1.crt --key device1.key --cafile AmazonRootCA1.pem -h "$endpointAddress" -p "$mqttPort" -t my/topic \
  -m 'hello from a certificate under a registered CA' -q 1
wait "$subscriber" || { cat device1.log; "$fleetgate" explain last; exit 1; }
grep -Fx 'hello from a certificate under a registered CA' device1.log

step 'clean up'
aws iot detach-policy --target "$certificateArn" --policy "AllowAll"
aws iot update-certificate --certificate-id "$certificateId" --new-status INACTIVE
aws iot delete-certificate --certificate-id "$certificateId"
if [[ $made ]]; then aws iot delete-policy --policy-name AllowAll; fi
aws iot update-ca-certificate --certificate-id "$caCertificateId" --new-status INACTIVE
aws iot delete-ca-certificate --certificate-id "$caCertificateId"
echo 'done: the device talked, nothing is left behind but the registration code, which stays that of the account'
