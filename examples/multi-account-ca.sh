#!/usr/bin/env bash
# One CA in two accounts: in DEFAULT mode in the first, which proves to have the CA's key, and in SNI_ONLY mode in the second, which has its certificate
# alone. A device that both trust by it gets into each with the same certificate: nobody registers it, it is provisioned when it connects first
# (JITP), and the server name that it asks for (SNI) says which account is meant.
# The commands are those that AWS users know; only host and port differ. They need a running server (`npm start` in another terminal),
# the AWS CLI, openssl, curl, mosquitto's clients, and Debian's libnss-wrapper. No root.
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
fail() { cat "$work/account$number/robot.log"; AWS_ACCESS_KEY_ID=${accountIds[number]} "$fleetgate" explain last; exit 1; }
member() { sed -n 's/.*"'"$1"'": "\([^"]*\)".*/\1/p' "$2"; } # of an answer that was kept

# Two terminals, each with the credentials and the folder of an account; development keys are named like the account.
accountIds=([1]=111111111111 [2]=222222222222)
mkdir account1 account2
account() {
  export AWS_ACCESS_KEY_ID=${accountIds[$1]}
  cd "$work/account$1"
}

account 1
step 'account 1: a CA'
openssl genrsa -out rootCA.key 2048 2>/dev/null
cat > rootCA_openssl.conf <<'CONF'
[ v3_ca ]
basicConstraints = CA:TRUE
CONF
openssl req -new -sha256 -key rootCA.key -nodes -out rootCA.csr 2>/dev/null <<'ANSWERS'
JP
Tokyo
Chiyoda
Example Robots
Security
Example Robots Root CA
.
.
.
ANSWERS
openssl x509 -req -days 1024 -extfile rootCA_openssl.conf -extensions v3_ca -in rootCA.csr -signkey rootCA.key -out rootCA.pem 2>/dev/null
openssl x509 -in rootCA.pem -noout -subject

step 'account 1: the proof that it has the key, a certificate with its registration code as the name'
aws iot get-registration-code --region us-east-1 --output json | tee code.json
openssl genrsa -out verificationCert.key 2048 2>/dev/null
openssl req -new -key verificationCert.key -out verificationCert.csr 2>/dev/null <<ANSWERS
.
.
.
.
.
$(member registrationCode code.json)
.
.
.
ANSWERS
openssl x509 -req -in verificationCert.csr -CA rootCA.pem -CAkey rootCA.key -CAcreateserial -out verificationCert.pem -days 500 -sha256 2>/dev/null

step 'account 1: register the CA in DEFAULT mode'
aws iot register-ca-certificate --ca-certificate file://rootCA.pem --verification-cert file://verificationCert.pem --set-as-active \
  --allow-auto-registration --region us-east-1 --output json | tee ca.json
caCertificateId=$(member certificateId ca.json)
aws iot describe-ca-certificate --region us-east-1 --certificate-id "$caCertificateId" --output json

account 2
step 'account 2: register the same CA in SNI_ONLY mode; its certificate is enough'
cp ../account1/rootCA.pem .
aws iot register-ca-certificate --ca-certificate file://rootCA.pem --certificate-mode SNI_ONLY --set-as-active \
  --allow-auto-registration --region us-east-1 --output json
aws iot describe-ca-certificate --region us-east-1 --certificate-id "$caCertificateId" --output json

step 'both accounts: what becomes of a new device, by a template'
cat > ../robots.json <<'TEMPLATE'
{
  "Parameters": {
    "AWS::IoT::Certificate::CommonName": { "Type": "String" },
    "AWS::IoT::Certificate::Id": { "Type": "String" }
  },
  "Resources": {
    "thing": {
      "Type": "AWS::IoT::Thing",
      "Properties": { "ThingName": { "Ref": "AWS::IoT::Certificate::CommonName" } }
    },
    "certificate": {
      "Type": "AWS::IoT::Certificate",
      "Properties": { "CertificateId": { "Ref": "AWS::IoT::Certificate::Id" }, "Status": "ACTIVE" }
    },
    "policy": {
      "Type": "AWS::IoT::Policy",
      "Properties": {
        "PolicyDocument": "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"iot:Connect\",\"Resource\":\"arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}\"},{\"Effect\":\"Allow\",\"Action\":[\"iot:Publish\",\"iot:Receive\"],\"Resource\":\"arn:aws:iot:*:*:topic/${iot:Connection.Thing.ThingName}/*\"},{\"Effect\":\"Allow\",\"Action\":\"iot:Subscribe\",\"Resource\":\"arn:aws:iot:*:*:topicfilter/${iot:Connection.Thing.ThingName}/*\"}]}"
      }
    }
  }
}
TEMPLATE
for number in 1 2; do
  account "$number"
  aws iot create-provisioning-template --template-name robots --type JITP --enabled --template-body file://../robots.json \
    --provisioning-role-arn "arn:aws:iam::${accountIds[number]}:role/provisioning" --query templateArn --output text
  aws iot update-ca-certificate --certificate-id "$caCertificateId" --registration-config templateName=robots
done

step 'where to connect, and whom to trust there'
for number in 1 2; do
  account "$number"
  endpoints[number]=$(aws iot describe-endpoint --endpoint-type iot:Data-ATS --query endpointAddress --output text)
  echo "account $number: ${endpoints[number]}:$mqttPort"
done
cd "$work"
curl -sS -O "$FLEETGATE_API_URL/repository/AmazonRootCA1.pem"
# These names stand in no DNS; /etc/hosts would do, but takes root.
"$fleetgate" hosts > hosts
export NSS_WRAPPER_HOSTS=$work/hosts
named() { LD_PRELOAD=libnss_wrapper.so "$@"; }

step 'a robot with one certificate, signed by the CA and registered nowhere'
openssl genrsa -out robot.key 2048 2>/dev/null
openssl req -new -key robot.key -out robot.csr -subj "/CN=robot"
openssl x509 -req -in robot.csr -CA account1/rootCA.pem -CAkey account1/rootCA.key -CAcreateserial -days 365 -sha256 -out robot.crt 2>/dev/null
certificateId=$(openssl x509 -in robot.crt -outform DER | sha256sum | cut -d' ' -f1)
robot=(--cert robot.crt --key robot.key --cafile AmazonRootCA1.pem -p "$mqttPort" -i robot)

step 'it connects to each account: refused at first, which provisions it, then let in'
for number in 1 2; do
  attempts=1
  until named mosquitto_pub "${robot[@]}" -h "${endpoints[number]}" -t robot/hello -m hello -q 1 2> "account$number/robot.log"; do
    ((attempts++ < 100)) || fail
    sleep 0.1
  done
  echo "account $number: let in at attempt $attempts"
done
for number in 1 2; do
  account "$number"
  printf 'account %s: ' "$number"
  aws iot describe-certificate --certificate-id "$certificateId" --query 'certificateDescription.[status,certificateMode,ownedBy]' --output text
  aws iot list-principal-things --principal "arn:aws:iot:us-east-1:${accountIds[number]}:cert/$certificateId" --output text
done
cd "$work"

step 'it is in both accounts at once, under one client id, and hears in each what is said there'
for number in 1 2; do
  named stdbuf -oL mosquitto_sub -d "${robot[@]}" -h "${endpoints[number]}" -t robot/orders -q 1 -C 1 -W 30 > "account$number/robot.log" 2>&1 &
  robots[number]=$!
done
for number in 1 2; do
  until grep -q SUBACK "account$number/robot.log"; do
    kill -0 "${robots[number]}" 2>/dev/null || fail
    sleep 0.05
  done
done
for number in 1 2; do
  account "$number"
  printf 'hello from account %s' "$number" > orders.txt
  aws iot-data publish --topic robot/orders --qos 1 --payload fileb://orders.txt # from a file: CLI versions differ in how they read it from the line
done
cd "$work"
for number in 1 2; do
  wait "${robots[number]}" || fail
  grep -Fx "hello from account $number" "account$number/robot.log" || fail
done

step 'clean up'
for number in 1 2; do
  account "$number"
  certificateArn=arn:aws:iot:us-east-1:${accountIds[number]}:cert/$certificateId
  policyName=$(aws iot list-attached-policies --target "$certificateArn" --query 'policies[0].policyName' --output text)
  aws iot detach-thing-principal --thing-name robot --principal "$certificateArn"
  aws iot delete-thing --thing-name robot
  aws iot update-certificate --certificate-id "$certificateId" --new-status INACTIVE
  aws iot delete-certificate --certificate-id "$certificateId" --force-delete
  aws iot delete-policy --policy-name "$policyName"
  aws iot update-ca-certificate --certificate-id "$caCertificateId" --new-status INACTIVE
  aws iot delete-ca-certificate --certificate-id "$caCertificateId"
  aws iot delete-provisioning-template --template-name robots
done
echo 'done: one CA, two accounts, one device in both; nothing is left behind but the registration code of account 1'
