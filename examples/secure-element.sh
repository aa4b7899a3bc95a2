#!/usr/bin/env bash
# Three devices whose private keys never leave a secure element, let in by the certificates that the element's maker put beside the keys.
# The maker's CA is registered nowhere: each certificate is registered by itself, without CA. The element is played by SoftHSM2, which speaks
# PKCS#11 as a real one does: with a real one, change `module` and leave out the part of the factory.
# The commands on the account's side are those that AWS users know; only host and port differ. They need a running server (`npm start` in another
# terminal), the AWS CLI, openssl, curl, mosquitto's clients, and Debian's softhsm2, opensc and libengine-pkcs11-openssl. No root.
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
fail() { cat ./*.log; "$fleetgate" explain last; exit 1; }

devices=(com6 com7 com8)
pin=1234
module=/usr/lib/softhsm/libsofthsm2.so
export PKCS11_MODULE_PATH=$module # where OpenSSL's pkcs11 engine looks
key() { echo "pkcs11:token=elements;object=$1;type=private;pin-value=$pin"; }
element() { pkcs11-tool --module "$module" --token-label elements --login --pin "$pin" "$@"; }

step 'in the factory: three P-256 keys, made inside the element'
mkdir tokens
export SOFTHSM2_CONF=$work/softhsm2.conf
printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' "$work/tokens" > "$SOFTHSM2_CONF"
softhsm2-util --init-token --free --label elements --pin "$pin" --so-pin "$pin" > /dev/null
for i in "${!devices[@]}"; do
  element --keypairgen --key-type EC:prime256v1 --sensitive --label "${devices[i]}" --id "0$i" > made.txt
  grep -A 4 'Private Key' made.txt | grep -E 'label|Access.* never extractable' # the element's own word that no command can read it out
done

step 'in the factory: the CA of the maker certifies them; nobody will register it'
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -sha256 -nodes -keyout maker.key -out maker.crt \
  -subj '/O=Maker of elements/CN=Connectivity CA' -days 3650 2> /dev/null
echo 'subjectAltName = DNS:elements.example.com' > shared.ext
for i in "${!devices[@]}"; do
  name=${devices[i]}
  openssl req -new -engine pkcs11 -keyform engine -key "$(key "$name")" -subj "/CN=element-$name" -out "$name.csr" 2> /dev/null
  openssl x509 -req -in "$name.csr" -CA maker.crt -CAkey maker.key -CAcreateserial -extfile shared.ext -days 3650 -sha256 \
    -outform DER -out "$name.der" 2> /dev/null
  element --write-object "$name.der" --type cert --label "$name" --id "0$i" > /dev/null
done
rm maker.key ./*.csr ./*.der # what the customer gets is the element alone

step 'read the certificates out of the element'
for i in "${!devices[@]}"; do
  element --read-object --type cert --id "0$i" --output-file "${devices[i]}.der" > /dev/null
  openssl x509 -inform DER -in "${devices[i]}.der" -out "${devices[i]}trustedcert.crt"
  openssl x509 -in "${devices[i]}trustedcert.crt" -noout -subject -issuer
done

step 'a policy (never give this one to a real fleet)'
cat > wildCardPolicy << 'POLICY'
{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "iot:Connect",
                "iot:Publish",
                "iot:Receive",
                "iot:Subscribe"
            ],
            "Resource": [
                "*"
            ]
        }
    ]
}
POLICY
aws iot create-policy --policy-name wildCardPolicy --policy-document "file://$PWD/wildCardPolicy"

step 'register the three certificates, and attach the policy'
arns=()
for name in "${devices[@]}"; do
  aws iot register-certificate-without-ca --certificate-pem "file://$PWD/${name}trustedcert.crt" --status ACTIVE --output json | tee "$name.json"
  arns+=("$(sed -n 's/.*"certificateArn": "\([^"]*\)".*/\1/p' "$name.json")")
  aws iot attach-policy --target "${arns[-1]}" --policy-name wildCardPolicy
done

step 'where to connect, and whom to trust there'
endpointAddress=$(aws iot describe-endpoint --endpoint-type iot:Data-ATS --query endpointAddress --output text)
curl -sS -O "$FLEETGATE_API_URL/repository/AmazonRootCA1.pem"
echo "$endpointAddress:$mqttPort"
server=(--cafile AmazonRootCA1.pem -h "$endpointAddress" -p "$mqttPort")

step 'the cloud has a certificate too, and listens'
arns+=("$(aws iot create-keys-and-certificate --set-as-active --certificate-pem-outfile cloud.crt --private-key-outfile cloud.key \
  --query certificateArn --output text)")
aws iot attach-policy --target "${arns[-1]}" --policy-name wildCardPolicy
stdbuf -oL mosquitto_sub -d "${server[@]}" --cert cloud.crt --key cloud.key -t 'elements/+/hello' -q 1 -C 3 -W 30 > cloud.log 2>&1 &
cloud=$!
until grep -q SUBACK cloud.log; do
  kill -0 "$cloud" 2> /dev/null || fail
  sleep 0.05
done

step 'the three devices connect, each under its unique number in Base64'
uniqueNumbers=(04005001a3f1f8efa793064204d6c480 04005001a3f1fbf6bf6a064204d6c481 04005001a3f1fbe29f7b06420fd6c482)
waiting=()
for i in "${!devices[@]}"; do
  name=${devices[i]}
  clientId=$(printf '%b' "$(sed 's/../\\x&/g' <<< "${uniqueNumbers[i]}")" | base64)
  echo "$name is $clientId"
  # mosquitto opens the "file" --key before it asks the engine for it: an empty file of that name satisfies it
  touch "$(key "$name")"
  # one connection: it subscribes to -e, publishes -m to -t, and ends when something has arrived on -e
  stdbuf -oL mosquitto_rr "${server[@]}" --cert "${name}trustedcert.crt" --tls-engine pkcs11 --keyform engine --key "$(key "$name")" \
    -i "$clientId" -q 1 -t "elements/$name/hello" -m "hello from $name" -e elements/all -W 30 -F '%t %p' > "$name.log" 2>&1 &
  waiting+=($!)
  # SoftHSM shows no token at all to some of those who open it in one moment: the next comes once this one was heard
  until grep -q "^hello from $name$" cloud.log; do
    kill -0 "${waiting[-1]}" 2> /dev/null || fail
    sleep 0.05
  done
done
wait "$cloud" || fail
grep '^hello' cloud.log | sort

step 'all three are connected now: the cloud publishes once'
mosquitto_pub "${server[@]}" --cert cloud.crt --key cloud.key -t elements/all -m 'hello from the cloud' -q 1 || fail
for i in "${!devices[@]}"; do
  wait "${waiting[i]}" || fail
  grep -Fx 'elements/all hello from the cloud' "${devices[i]}.log" | sed "s/^/${devices[i]}: /"
done

step 'clean up'
for arn in "${arns[@]}"; do
  aws iot update-certificate --certificate-id "${arn##*/}" --new-status INACTIVE
  aws iot delete-certificate --certificate-id "${arn##*/}" --force-delete
done
aws iot delete-policy --policy-name wildCardPolicy
echo 'done: three keys stayed in the element, three devices talked, nothing is left behind'
