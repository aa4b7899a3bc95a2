/**
 * Just-in-time registration and provisioning in words: devices whose certificate nobody has registered or activated, and what the templates of their CAs met.
 * Facts that change the answer: `caCertificateId`, `provisioningTemplateName` (absent: the CA has the template's text), `provisioning` (what became of the template
 * at this connection), `errorCode` (of a template that failed). Source of the rules: spec provisioning.md 2, 3.
 */
import { activate, certificateIdOf, certificateIdShape, type Explanation, option, shortId } from './cure-lines.ts';
import { explainMissingPolicy, missingPolicyOf } from './explain-provisioning.ts';
import type { Reason } from './record.ts';
import { command, script } from './shell.ts';
import type { StoredRecord } from './stored-record.ts';

export type FirstConnectReason = Extract<
  Reason,
  | 'DEVICE_CERTIFICATE_INVALID'
  | 'CA_CERTIFICATE_INACTIVE'
  | 'AUTO_REGISTRATION_DISABLED'
  | 'CA_SIGNATURE_MISMATCH'
  | 'JUST_IN_TIME_PROVISIONING_FAILED'
>;

const told = (sentence: string, cure: string, commands: readonly string[] = []): Explanation => ({
  sentence,
  cure: commands.length > 0 ? `${cure}:` : `${cure}.`,
  commands,
});

const caOf = ({ facts }: StoredRecord): string | undefined => {
  const id = facts?.['caCertificateId'];
  return id !== undefined && certificateIdShape.test(id) ? id : undefined;
};
/** Behind "the CA", where it is known. */
const named = (id: string | undefined): string => (id === undefined ? '' : ` ${shortId(id)}`);
const detail = ({ detail: text }: StoredRecord): string => (text === undefined ? '' : `: ${text.replace(/\.$/, '')}`);

const activateCa = (id: string | undefined): readonly string[] =>
  id === undefined ? [] : script(command`aws iot update-ca-certificate --certificate-id ${id} --new-status ACTIVE`);
const enableCa = (id: string | undefined): readonly string[] =>
  id === undefined
    ? []
    : script(command`aws iot update-ca-certificate --certificate-id ${id} --new-auto-registration-status ENABLE`);

const templateOf = (record: StoredRecord): string => {
  const name = record.facts?.['provisioningTemplateName'];
  return name === undefined ? 'the template' : `the provisioning template "${name}"`;
};
const onTemplate = (record: StoredRecord, verb: string, rest = ''): readonly string[] => {
  const name = record.facts?.['provisioningTemplateName'];
  const words = name === undefined ? undefined : option('--template-name', name);
  return words === undefined ? [] : [`aws iot ${verb} ${words}${rest}`];
};
const showTemplate = (record: StoredRecord): readonly string[] => {
  if (record.facts?.['provisioningTemplateName'] !== undefined) {
    return onTemplate(record, 'describe-provisioning-template', ' --query templateBody --output text');
  }
  const id = caOf(record);
  if (id === undefined) return [];
  const query = 'registrationConfig.templateBody';
  return script(command`aws iot describe-ca-certificate --certificate-id ${id} --query ${query} --output text`);
};

/** What is to be done about a template, by the code of its failure. */
const cures: Readonly<Record<string, string>> = {
  InvalidParameters:
    'The parameters are what the subject of the certificate says, and nothing else: give them a Default in the template, or give the device a certificate with them',
  ResourceConflicts:
    'Say in OverrideSettings of the template what is to become of what exists (REPLACE, MERGE, DO_NOTHING), or change it',
  ResourceRegistrationFailure: 'Create what the template names, or correct the template; nothing of it has remained',
  ResourceNotFound: 'Create that template (type JITP), or let the CA name another one',
};

const explainTemplate = (record: StoredRecord): Explanation => {
  const certificateId = certificateIdOf(record);
  const refused = `The certificate${named(certificateId)} was not provisioned by ${templateOf(record)} of its CA${named(caOf(record))}`;
  const sentence = `${refused}${detail(record)}.`;
  const again = 'let the device connect again';
  if (record.detail?.includes('is not enabled') === true) {
    const commands = onTemplate(record, 'update-provisioning-template', ' --enabled');
    return told(sentence, `Enable it and ${again}`, commands);
  }
  const policyName = missingPolicyOf(record);
  if (policyName !== undefined) return explainMissingPolicy(refused, policyName, again);
  const { errorCode = '' } = record.facts ?? {};
  const cure = `${cures[errorCode] ?? 'Correct the template'}; then ${again}`;
  const commands = errorCode === 'ResourceNotFound' ? [] : showTemplate(record);
  return told(sentence, commands.length > 0 ? `${cure}. This shows the template` : cure, commands);
};

/** `shown`: who showed which certificate. `where`: the account. */
export const explainFirstConnect = (
  reason: FirstConnectReason,
  record: StoredRecord,
  { shown, where }: { readonly shown: string; readonly where: string },
): Explanation => {
  const ca = caOf(record);
  const unknown = `${shown}, which is not registered in ${where}`;
  switch (reason) {
    case 'CA_CERTIFICATE_INACTIVE':
      return told(
        `${unknown}; the CA${named(ca)} that signed it is registered there, but INACTIVE.`,
        'If the devices of this CA may come, activate it',
        activateCa(ca),
      );
    case 'AUTO_REGISTRATION_DISABLED':
      return told(
        `${unknown}; the CA${named(ca)} that signed it is registered there, but its auto-registration is off.`,
        'Register the certificate yourself (aws iot register-certificate), or let each device of this CA be registered when it connects first',
        enableCa(ca),
      );
    case 'CA_SIGNATURE_MISMATCH':
      return told(
        `${unknown}; the CA${named(ca)} that is registered there has the name of its issuer, but did not sign it.`,
        'If the device is yours, register the CA that signed its certificate, or give it one that the registered CA has signed; otherwise somebody pretends to be of this CA',
      );
    case 'DEVICE_CERTIFICATE_INVALID':
      return told(
        `${unknown}; the CA${named(ca)} that signed it would register it, but it cannot be${detail(record)}.`,
        'Give the device a new certificate of the same CA, with an RSA key of 2048 bits or more, or one on P-256, P-384 or P-521, signed with SHA-256 or better',
      );
    case 'JUST_IN_TIME_PROVISIONING_FAILED':
      return explainTemplate(record);
  }
};

/** A certificate under a registered CA that waits for being activated; undefined: nothing is known of a CA. */
export const explainPending = (record: StoredRecord, sentence: string): Explanation | undefined => {
  const ca = caOf(record);
  if (ca === undefined) return undefined;
  const registered = `${sentence}: its CA ${shortId(ca)} had it registered when it first connected`;
  const certificateId = certificateIdOf(record);
  switch (record.facts?.['provisioning']) {
    case 'STARTED':
      return told(
        `${registered}, and ${templateOf(record)} of that CA has been set to work.`,
        `Let the device connect again. If it is refused again, \`fleetgate explain${named(certificateId)}\` says what kept the template from being carried out`,
      );
    case 'QUEUE_FULL':
      return told(`${registered}, and too many devices are being provisioned.`, 'Let the device connect again later');
    case 'CA_CERTIFICATE_INACTIVE':
      return told(
        `${registered}, and is INACTIVE now, so that its template is not carried out.`,
        'If the devices of this CA may come, activate it',
        activateCa(ca),
      );
    case 'AUTO_REGISTRATION_DISABLED':
      return told(
        `${registered}, and its auto-registration is off now, so that its template is not carried out.`,
        'If the devices of this CA may come, switch it on',
        enableCa(ca),
      );
    default: {
      const commands = script(certificateId === undefined ? undefined : activate(certificateId));
      return told(
        `${registered}, and nobody has activated it since.`,
        'If the device may connect, activate it; whoever subscribes to "$aws/events/certificates/registered/+" is told of such devices and can do it for all of them',
        commands,
      );
    }
  }
};

/** A template that was carried out. */
export const explainProvisioned = (record: StoredRecord): string => {
  const thingName = record.facts?.['thingName'];
  const thing = thingName === undefined ? '' : `, as the thing "${thingName}"`;
  return `The certificate${named(certificateIdOf(record))} was provisioned by ${templateOf(record)} of its CA${named(caOf(record))}${thing}.`;
};
