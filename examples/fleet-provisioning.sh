#!/usr/bin/env bash
# Fleet provisioning by claim: every device leaves the factory with one and the same claim certificate, and gets a key, a certificate and a thing of its
# own when it first connects. Then it talks as itself. A device that is reset and comes again with its serial number gets in again.
# The commands are those that AWS users know, and the device makes the calls of the AWS IoT device SDK's samples; only host and port differ. They need a
# running server (`npm start` in another terminal), the AWS CLI, curl, and this clone's packages (`npm ci`).
set -euo pipefail

examples=$(cd "$(dirname "$0")" && pwd)
fleetgate=$examples/../bin/fleetgate.js
export FLEETGATE_API_URL=${FLEETGATE_API_URL:-http://127.0.0.1:4566}
mqttPort=${FLEETGATE_MQTT_PORT:-8883}
eval "$("$fleetgate" env)" # the endpoint, development credentials, and `aws` as a function that also an old CLI understands
"$fleetgate" health > /dev/null # or one sentence about the server that is missing

work=$(mktemp -d)
cd "$work"
trap 'cd /; rm -rf "$work"' EXIT
step() { printf '\n== %s\n' "$1"; }
trap 'printf "\nStopped here. What the steps before made is still there; to begin anew, stop the server and delete its data folder.\n" >&2' ERR
fail() { "$fleetgate" explain last; exit 1; }
node=$examples/../node_modules/.bin/node # the one that `npm ci` brought

accountId=$(aws sts get-caller-identity --query Account --output text)
templateName=wapa5pow-template
inPlace() { sed -e "s/aws-region/$AWS_REGION/; s/aws-account-id/$accountId/; s/templateName/$templateName/"; }

step 'a policy for the claim: provisioning, and nothing else'
inPlace > claim-policy.json <<'POLICY'
{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["iot:Connect"],
            "Resource": "*"
        },
        {
            "Effect": "Allow",
            "Action": ["iot:Publish","iot:Receive"],
            "Resource": [
                "arn:aws:iot:aws-region:aws-account-id:topic/$aws/certificates/create/*",
                "arn:aws:iot:aws-region:aws-account-id:topic/$aws/provisioning-templates/templateName/provision/*"
            ]
        },
        {
            "Effect": "Allow",
            "Action": "iot:Subscribe",
            "Resource": [
                "arn:aws:iot:aws-region:aws-account-id:topicfilter/$aws/certificates/create/*",
                "arn:aws:iot:aws-region:aws-account-id:topicfilter/$aws/provisioning-templates/templateName/provision/*"
            ]
        }
    ]
}
POLICY
aws iot create-policy --policy-name wapa5pow-claim-policy --policy-document file://claim-policy.json --query policyArn --output text

step 'a policy for the devices: one topic'
inPlace > device-policy.json <<'POLICY'
{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "iot:Connect",
            "Resource": "arn:aws:iot:aws-region:aws-account-id:client/*"
        },
        {
            "Effect": "Allow",
            "Action": ["iot:Publish", "iot:Receive"],
            "Resource": "arn:aws:iot:aws-region:aws-account-id:topic/sdk/test/js"
        },
        {
            "Effect": "Allow",
            "Action": "iot:Subscribe",
            "Resource": "arn:aws:iot:aws-region:aws-account-id:topicfilter/sdk/test/js"
        }
    ]
}
POLICY
aws iot create-policy --policy-name wapa5pow-device-policy --policy-document file://device-policy.json --query policyArn --output text

step 'the claim certificate, which all devices share'
claimArn=$(aws iot create-keys-and-certificate --set-as-active --certificate-pem-outfile certificate.pem.crt \
  --public-key-outfile public.pem.key --private-key-outfile private.pem.key --query certificateArn --output text)
aws iot attach-policy --target "$claimArn" --policy-name wapa5pow-claim-policy
echo "$claimArn"

step 'the provisioning template: what becomes of a device that tells its serial number'
cat > template.json <<'TEMPLATE'
{
  "Parameters": {
    "SerialNumber": {
      "Type": "String"
    },
    "AWS::IoT::Certificate::Id": {
      "Type": "String"
    }
  },
  "Resources": {
    "policy_wapa5pow-device-policy": {
      "Type": "AWS::IoT::Policy",
      "Properties": {
        "PolicyName": "wapa5pow-device-policy"
      }
    },
    "certificate": {
      "Type": "AWS::IoT::Certificate",
      "Properties": {
        "CertificateId": {
          "Ref": "AWS::IoT::Certificate::Id"
        },
        "Status": "Active"
      }
    },
    "thing": {
      "Type": "AWS::IoT::Thing",
      "OverrideSettings": {
        "AttributePayload": "MERGE",
        "ThingGroups": "DO_NOTHING",
        "ThingTypeName": "REPLACE"
      },
      "Properties": {
        "AttributePayload": {},
        "ThingGroups": [],
        "ThingName": {
          "Fn::Join": [
            "",
            [
              "wapa5pow-template-",
              {
                "Ref": "SerialNumber"
              }
            ]
          ]
        }
      }
    }
  }
}
TEMPLATE
aws iot create-provisioning-template --template-name "$templateName" --enabled --template-body file://template.json \
  --provisioning-role-arn "arn:aws:iam::$accountId:role/provisioning" --query templateArn --output text

step 'where to connect, and whom to trust there'
endpointAddress=$(aws iot describe-endpoint --endpoint-type iot:Data-ATS --query endpointAddress --output text)
curl -sS -O "$FLEETGATE_API_URL/repository/AmazonRootCA1.pem"
echo "$endpointAddress:$mqttPort"
server=(--endpoint "$endpointAddress" --port "$mqttPort")

# Without --ca_file the SDK trusts what the machine trusts. One variable, for what is started with it, makes it trust the server's root, and needs no root
# user. For the whole machine, as root in Debian, it would be:
#   cp AmazonRootCA1.pem /usr/local/share/ca-certificates/fleetgate.crt && update-ca-certificates
provision() {
  SSL_CERT_FILE=AmazonRootCA1.pem "$node" "$examples/fleet-provisioning.mjs" "${server[@]}" \
    --cert certificate.pem.crt --key private.pem.key --template_name "$templateName" --template_parameters '{"SerialNumber":"1"}' || fail
}
talk() {
  "$node" "$examples/pub-sub.mjs" "${server[@]}" --ca_file AmazonRootCA1.pem \
    --cert device.pem.crt --key device.pem.key --client_id 1 --topic sdk/test/js || fail
}

step 'the device asks for a certificate and a thing with the claim'
provision
step 'it talks as itself'
talk

step 'it was reset: the same serial number again, a new certificate, the same thing'
rm device.pem.*
provision
talk

step 'what the account has now'
principals=$(aws iot list-thing-principals --thing-name wapa5pow-template-1 --query principals --output text)
for principal in $principals; do
  aws iot describe-certificate --certificate-id "${principal##*/}" --query 'certificateDescription.[certificateId,status]' --output text
  aws iot list-attached-policies --target "$principal" --query 'policies[].policyName' --output text
done

step 'clean up'
for principal in $principals; do
  aws iot detach-thing-principal --thing-name wapa5pow-template-1 --principal "$principal"
done
aws iot delete-thing --thing-name wapa5pow-template-1
for arn in $principals "$claimArn"; do
  aws iot update-certificate --certificate-id "${arn##*/}" --new-status INACTIVE
  aws iot delete-certificate --certificate-id "${arn##*/}" --force-delete
done
aws iot delete-provisioning-template --template-name "$templateName"
aws iot delete-policy --policy-name wapa5pow-claim-policy
aws iot delete-policy --policy-name wapa5pow-device-policy
echo 'done: the device has an identity of its own, twice, and nothing is left behind'
