/**
 * Every AWS CLI on this machine, old ones too, knows what the API can do in a shell that has evaluated `fleetgate env` (cli/env.ts): Debian's was made before
 * domain configurations had security policies, things had exclusive principals, and connections could be deleted.
 */
import assert from 'node:assert/strict';
import { existsSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { test } from 'node:test';
import { bootNode } from '../harness.ts';

const commandLines = ['/usr/bin/aws', ...(process.env['PATH'] ?? '').split(delimiter).map((at) => join(at, 'aws'))]
  .filter((path) => existsSync(path))
  .filter((path, index, all) => all.findIndex((other) => realpathSync(other) === realpathSync(path)) === index);

for (const command of commandLines) {
  test(`the AWS CLI at ${command} sets, shows and lists what came into the API after it`, async (t) => {
    const { shell } = await bootNode(t);
    const { code, stdout, stderr } = await shell(
      `set -e
       aws iot create-domain-configuration --domain-configuration-name own --tls-config securityPolicy=IoTSecurityPolicy_TLS13_1_3_2022_10 --query domainConfigurationName
       aws iot update-domain-configuration --domain-configuration-name own --authentication-type AWS_X509 --application-protocol SECURE_MQTT --query domainConfigurationName
       aws iot describe-domain-configuration --domain-configuration-name own --query '[tlsConfig.securityPolicy,authenticationType,applicationProtocol]'
       certificate=$(aws iot create-keys-and-certificate --query certificateArn)
       aws iot create-thing --thing-name lamp --query thingName
       aws iot attach-thing-principal --thing-name lamp --principal "$certificate" --thing-principal-type EXCLUSIVE_THING
       aws iot list-thing-principals-v2 --thing-name lamp --query 'thingPrincipalObjects[].thingPrincipalType'
       aws iot list-principal-things-v2 --principal "$certificate" --query 'principalThingObjects[].thingName'
       aws iot-data delete-connection --client-id lamp || echo refused`,
      { env: { PATH: `${dirname(command)}${delimiter}${process.env['PATH']}`, AWS_DEFAULT_OUTPUT: 'text' } },
    );
    assert.equal(code, 0, stderr);
    assert.deepEqual(stdout.split('\n'), [
      'own',
      'own',
      'IoTSecurityPolicy_TLS13_1_3_2022_10\tAWS_X509\tSECURE_MQTT',
      ...['lamp', 'EXCLUSIVE_THING', 'lamp', 'refused', ''],
    ]);
    assert.match(stderr, /ResourceNotFoundException/);
  });
}
