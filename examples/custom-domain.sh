#!/usr/bin/env bash
# A domain name of your own with a server certificate of a private CA: devices that are given that CA get in under the name, those that trust the root of the
# server alone do not. Then how such a domain is taken away, and made anew with other certificates.
# The commands are those that AWS users know; only host and port differ. They need the AWS CLI, openssl, curl, mosquitto's clients, Debian's libnss-wrapper,
# dnsmasq-base and bind9-dnsutils (dig), and a running server, in another terminal, that asks the DNS server of this example and lets its clock be moved:
#   npm start -- --dev --dns-server 127.0.0.1:5300
# With --custom-domain-deletion-days 7 as well, a domain is deleted a week after it was disabled, as on AWS in 2022; without it at once, as on AWS today. No root.
set -euo pipefail

fleetgate=$(cd "$(dirname "$0")/.." && pwd)/bin/fleetgate.js
export FLEETGATE_API_URL=${FLEETGATE_API_URL:-http://127.0.0.1:4566}
mqttPort=${FLEETGATE_MQTT_PORT:-8883}
dnsPort=${FLEETGATE_DNS_PORT:-5300}
PATH=$PATH:/usr/sbin # dnsmasq
for program in dig dnsmasq mosquitto_pub; do
  command -v "$program" > /dev/null || { echo "Missing: $program. Debian: apt-get install bind9-dnsutils dnsmasq-base mosquitto-clients libnss-wrapper" >&2; exit 1; }
done
eval "$("$fleetgate" env)" # the endpoint, development credentials, and `aws` as a function that also an old CLI understands
"$fleetgate" clock > /dev/null # or one sentence about the server, or its --dev, that is missing
# An account whose endpoint has a name of its own; development keys are named like the account.
export AWS_ACCESS_KEY_ID=111111111111 AWS_DEFAULT_REGION=ap-northeast-1 AWS_REGION=ap-northeast-1

work=$(mktemp -d)
cd "$work"
trap 'jobs -p | xargs -r kill 2>/dev/null || true; wait; cd /; rm -rf "$work"' EXIT
step() { printf '\n== %s\n' "$1"; }
trap 'printf "\nStopped here. What the steps before made is still there; to begin anew, stop the server and delete its data folder.\n" >&2' ERR
# refused FAULT COMMAND...: what AWS refuses, with the fault that it has.
refused() {
  if "${@:2}" > refusal.txt 2>&1; then echo "This was not refused: ${*:2}"; return 1; fi
  grep "($1)" refusal.txt
}

domainName=example.alexa-dev.tokyo

# It knows what it is told, on the port that the server asks. It is started once to see whether the port is free, before anything is made.
dnsServer=(dnsmasq --port="$dnsPort" --listen-address=127.0.0.1 --bind-interfaces --local=/#/ --no-resolv --no-hosts --user="$(id -un)")
portIsTaken() {
  echo "Port $dnsPort of 127.0.0.1 is taken: $1. Choose another (FLEETGATE_DNS_PORT), and start the server with it: npm start -- --dev --dns-server 127.0.0.1:PORT" >&2
  exit 1
}
"${dnsServer[@]}" --conf-file=/dev/null --pid-file="$work/dns.pid" 2> dns.log || portIsTaken "$(tail -n 1 dns.log)"
kill "$(< dns.pid)"

step 'a private CA'
openssl genrsa 2048 > ca.key 2> openssl.log
SUBJ="/C=JP/ST=Tokyo/L=Chiyoda-ku/O=Classmethod.Inc/OU=IoT/CN=CA"
openssl req -new -x509 -days 365 -key ca.key -subj "$SUBJ" > ca.crt
openssl x509 -in ca.crt -noout -subject

step 'a server certificate: its CN is the domain name; but serverAuth was forgotten'
openssl genrsa 2048 > server.key 2> openssl.log
SUBJ="/C=JP/ST=Tokyo/L=Chiyoda-ku/O=Classmethod.Inc/OU=IoT/CN=$domainName"
openssl req -new -key server.key -subj "$SUBJ" > server.csr
cat > server.ext <<EOF
[ v3_server ]
basicConstraints = CA:FALSE
EOF
openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial \
  -extfile server.ext -extensions "v3_server" -days 365 > server.crt 2> openssl.log
openssl x509 -in server.crt -noout -subject -ext basicConstraints,extendedKeyUsage 2> openssl.log

step 'into ACM, which takes it as it is'
serverCertificateArn=$(aws acm import-certificate --certificate fileb://server.crt --private-key fileb://server.key \
  --certificate-chain fileb://ca.crt --query CertificateArn --output text)
aws acm describe-certificate --certificate-arn "$serverCertificateArn" --query 'Certificate.[DomainName,Type,Status]' --output text

step 'a validation certificate, for which the domain must be proven to be ours: a CNAME'
validationCertificateArn=$(aws acm request-certificate --domain-name "$domainName" --validation-method DNS --query CertificateArn --output text)
aws acm describe-certificate --certificate-arn "$validationCertificateArn" \
  --query 'Certificate.DomainValidationOptions[0].ResourceRecord.[Name,Type,Value]' --output text | tee record.txt
read -r recordName _ recordValue < record.txt

step 'DNS: that record, and one for the domain itself, a CNAME to the default endpoint'
endpoint=$(aws iot describe-endpoint --endpoint-type iot:Data-ATS --query endpointAddress --output text)
# The first two are what the zone of the domain must hold; the others stand for the rest of DNS, which this server asks nobody about.
cat > dns.conf <<EOF
cname=${recordName%.},${recordValue%.},60
cname=$domainName,$endpoint,60
host-record=${recordValue%.},127.0.0.1
host-record=$endpoint,127.0.0.1
EOF
"${dnsServer[@]}" --conf-file=dns.conf --keep-in-foreground --pid-file --log-facility=- 2> dns.log &
dnsProcess=$!
until dig -p "$dnsPort" @127.0.0.1 "$domainName" +time=1 +tries=1 | grep -A 2 'ANSWER SECTION'; do
  kill -0 "$dnsProcess" 2> kill.log || portIsTaken "$(tail -n 1 dns.log)"
  sleep 0.1
done

step 'ACM finds the record, and issues the certificate'
"$fleetgate" clock --advance 10s > clock.txt # it looks every ten seconds; nobody needs to wait for it here
status() { aws acm describe-certificate --certificate-arn "$validationCertificateArn" --query Certificate.Status --output text; }
if [[ $(status) != ISSUED ]]; then
  for arn in "$validationCertificateArn" "$serverCertificateArn"; do aws acm delete-certificate --certificate-arn "$arn"; done
  echo "The server asks another DNS server: start it with npm start -- --dev --dns-server 127.0.0.1:$dnsPort" >&2
  exit 1
fi
aws acm wait certificate-validated --certificate-arn "$validationCertificateArn"
status

step 'the domain configuration: refused, and why'
createDomain() {
  aws iot create-domain-configuration --domain-configuration-name custom --domain-name "$domainName" \
    --server-certificate-arns "$serverCertificateArn" --validation-certificate-arn "$validationCertificateArn" --output json
}
refused CertificateValidationException createDomain
"$fleetgate" explain last

step 'the server certificate once more, with serverAuth, in the place of the first'
cat > server.ext <<EOF
[ v3_server ]
extendedKeyUsage = serverAuth
EOF
openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial \
  -extfile server.ext -extensions "v3_server" -days 365 > server.crt 2> openssl.log
aws acm import-certificate --certificate-arn "$serverCertificateArn" --certificate fileb://server.crt --private-key fileb://server.key \
  --certificate-chain fileb://ca.crt --query CertificateArn --output text

step 'the domain configuration'
createDomain
aws iot describe-domain-configuration --domain-configuration-name custom --output json

step 'a device: a certificate of the service, its policy, and the root certificate of the server'
policyArn=$(aws iot create-policy --policy-name topic-test --query policyArn --output text --policy-document \
  '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iot:Connect","iot:Publish"],"Resource":"*"}]}')
certificateArn=$(aws iot create-keys-and-certificate --set-as-active --certificate-pem-outfile client.crt --private-key-outfile client.key \
  --query certificateArn --output text)
aws iot attach-policy --policy-name topic-test --target "$certificateArn"
curl -sS -O "$FLEETGATE_API_URL/repository/AmazonRootCA1.pem"
ls AmazonRootCA1.pem client.*
# What dig finds, handed to mosquitto: for the system's resolver to ask this DNS server would take root.
for name in "$endpoint" "$domainName"; do
  echo "$(dig -p "$dnsPort" @127.0.0.1 "$name" +short | tail -n 1) $name"
done > hosts
export NSS_WRAPPER_HOSTS=$work/hosts
publish() { LD_PRELOAD=libnss_wrapper.so mosquitto_pub "$@" -p "$mqttPort" 2>&1; }

step '(1) the default endpoint and the root certificate: it is let in'
publish --cafile AmazonRootCA1.pem --cert client.crt --key client.key -h "$endpoint" -t topic/test -i clientid -d -m "TEST1"

step '(2) the custom domain and the root certificate: certificate verify failed'
! publish --cafile AmazonRootCA1.pem --cert client.crt --key client.key -h "$domainName" -t topic/test -i clientid -d -m "TEST2" || exit 1
"$fleetgate" explain last

step '(3) the custom domain and the certificate of the private CA: it is let in'
publish --cafile ca.crt --cert client.crt --key client.key -h "$domainName" -t topic/test -i clientid -d -m "TEST3"

step 'what is in use stays: the two certificates, and a domain that is ENABLED'
refused ResourceInUseException aws acm delete-certificate --certificate-arn "$serverCertificateArn"
refused ResourceInUseException aws acm delete-certificate --certificate-arn "$validationCertificateArn"
refused InvalidRequestException aws iot delete-domain-configuration --domain-configuration-name custom

step 'to make it anew: disable the domain, which refuses clients from now on; and, to compare, one whose name the service has made up'
aws iot create-domain-configuration --domain-configuration-name managed > answer.json
for name in custom managed; do
  aws iot update-domain-configuration --domain-configuration-name "$name" --domain-configuration-status DISABLED > answer.json
  echo "disabled: $name"
done
! publish --cafile ca.crt --cert client.crt --key client.key -h "$domainName" -t topic/test -i clientid -d -m "TEST4" || exit 1

step 'delete both: the one of the service after a week, the custom one at once (or with --custom-domain-deletion-days 7 after a week, too)'
deleteDomain() { aws iot delete-domain-configuration --domain-configuration-name "$1" 2>&1 && echo "deleted: $1"; }
refused InvalidRequestException deleteDomain managed
left=(managed)
deleteDomain custom || left+=(custom)
echo "a week later: $("$fleetgate" clock --advance 7d)"
for name in "${left[@]}"; do deleteDomain "$name"; done

step 'now the server certificate goes too, and the domain comes back with one of another CA'
aws acm delete-certificate --certificate-arn "$serverCertificateArn"
SUBJ="/C=JP/ST=Tokyo/L=Chiyoda-ku/O=Classmethod.Inc/OU=IoT/CN=CA2"
openssl req -new -x509 -days 365 -newkey rsa:2048 -nodes -keyout ca2.key -subj "$SUBJ" > ca2.crt 2> openssl.log
openssl x509 -req -in server.csr -CA ca2.crt -CAkey ca2.key -CAcreateserial \
  -extfile server.ext -extensions "v3_server" -days 365 > server.crt 2> openssl.log
serverCertificateArn=$(aws acm import-certificate --certificate fileb://server.crt --private-key fileb://server.key \
  --certificate-chain fileb://ca2.crt --query CertificateArn --output text)
createDomain
publish --cafile ca2.crt --cert client.crt --key client.key -h "$domainName" -t topic/test -i clientid -d -m "TEST5"

step 'clean up'
aws iot update-domain-configuration --domain-configuration-name custom --domain-configuration-status DISABLED > answer.json
deleteDomain custom || { echo "a week later: $("$fleetgate" clock --advance 7d)" && deleteDomain custom; }
for arn in "$serverCertificateArn" "$validationCertificateArn"; do aws acm delete-certificate --certificate-arn "$arn"; done
certificateId=${certificateArn##*/}
aws iot detach-policy --target "$certificateArn" --policy-name topic-test
aws iot update-certificate --certificate-id "$certificateId" --new-status INACTIVE
aws iot delete-certificate --certificate-id "$certificateId"
aws iot delete-policy --policy-name topic-test
echo 'done: a domain of a private CA, refused, served, taken away and made anew; nothing is left behind but the clock, which stays ahead'
