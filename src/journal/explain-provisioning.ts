/**
 * Refusals of fleet provisioning in words. Facts that change the answer: `provisioningTemplateName`, `topic`, `parameterNames` (those that the device sent,
 * separated by blanks). Source of the rules: spec provisioning.md 4 to 6.
 */
import { createOpenPolicy, type Explanation, option, shortId } from './cure-lines.ts';
import type { Reason } from './record.ts';
import { script } from './shell.ts';
import type { StoredRecord } from './stored-record.ts';

export type ProvisioningReason = Extract<
  Reason,
  | 'PAYLOAD_INVALID'
  | 'CSR_INVALID'
  | 'OWNERSHIP_TOKEN_INVALID'
  | 'TEMPLATE_NOT_FOUND'
  | 'TEMPLATE_UNUSABLE'
  | 'PARAMETERS_INVALID'
  | 'PROVISIONING_HOOK_REFUSED'
  | 'RESOURCE_CONFLICT'
  | 'RESOURCE_REGISTRATION_FAILURE'
  | 'PROVISIONING_CLAIM_EXPIRED'
>;

const told = (sentence: string, cure: string, commands: readonly string[] = []): Explanation => ({
  sentence,
  cure: commands.length > 0 ? `${cure}:` : `${cure}.`,
  commands,
});

const client = ({ clientId }: StoredRecord): string =>
  clientId === undefined ? 'The client' : `The client "${clientId}"`;
/** The detail as the end of a sentence, without its own full stop. */
const detail = ({ detail: text }: StoredRecord): string => (text === undefined ? '' : `: ${text.replace(/\.$/, '')}`);
const templateOf = ({ facts }: StoredRecord): string | undefined => facts?.['provisioningTemplateName'];
const template = (record: StoredRecord): string => {
  const name = templateOf(record);
  return name === undefined ? 'the provisioning template' : `the provisioning template "${name}"`;
};
const onTemplate = (record: StoredRecord, verb: string, rest = ''): readonly string[] => {
  const name = templateOf(record);
  const named = name === undefined ? undefined : option('--template-name', name);
  return script(named && `aws iot ${verb} ${named}${rest}`);
};

/** By the detail of the record: which reason it was, and what to do. */
const tokens: Readonly<Record<string, readonly [why: string, cure: string]>> = {
  missing: [
    'without an ownership token',
    'Send the certificateOwnershipToken that came with the certificate, by this name',
  ],
  expired: [
    'with an ownership token that is older than an hour',
    'Let the device ask for a new certificate, and for its thing within the hour: the certificate of the old token has been deleted, unless somebody activated or attached it',
  ],
  used: [
    'with an ownership token that has served already, for another request',
    'Let the device ask for a new certificate; only the very same request may be repeated with its token',
  ],
  'of another claim': [
    'with an ownership token that another claim certificate was given',
    'Let the device ask for a certificate and for its thing with one claim certificate; if this was not your device, the token may have been stolen',
  ],
  'of a claim that was deactivated': [
    'with a claim certificate that was deactivated while the pre-provisioning hook was asked',
    'If it was meant, nothing is to be done; else activate the claim certificate and let the device ask again',
  ],
  'of a certificate that was deleted': [
    'with an ownership token whose certificate was deleted',
    'Let the device ask for a new certificate',
  ],
};
const unknownToken = [
  'with an ownership token that this account has not given, or whose hour is long over',
  'Send the certificateOwnershipToken exactly as it came with the certificate; if it is old, let the device ask for a new certificate',
] as const;

const explainToken = (record: StoredRecord): Explanation => {
  const [why, cure] = tokens[record.detail ?? ''] ?? unknownToken;
  return told(`${client(record)} asked for its thing by ${template(record)} ${why}.`, cure);
};

const explainTemplate = (record: StoredRecord): Explanation => {
  const sentence = `${client(record)} asked for its thing by ${template(record)}, which cannot be used${detail(record)}.`;
  if (record.detail?.includes('is of type')) {
    return told(
      sentence,
      'The type of a template stays what it is: let the device name one of type FLEET_PROVISIONING, and its claim policy allow it; they are listed by',
      [`aws iot list-provisioning-templates --query "templates[?type=='FLEET_PROVISIONING'].templateName"`],
    );
  }
  if (record.detail?.includes('is not enabled')) {
    const commands = onTemplate(record, 'update-provisioning-template', ' --enabled');
    return told(sentence, 'Enable it', commands);
  }
  return told(
    sentence,
    'Correct it by a new default version; this shows what it is now',
    onTemplate(record, 'describe-provisioning-template'),
  );
};

const policyNameShape = /^[\w+=,.@-]{1,128}$/;

/** The policy that a template names and nobody has made, if that was it. */
export const missingPolicyOf = ({ steps }: StoredRecord): string | undefined => {
  const { step, outcome, how, subject } = steps?.at(-1) ?? {};
  const isMissing = step === 'policy' && outcome === 'failed' && how === 'found';
  return isMissing && subject !== undefined && policyNameShape.test(subject) ? subject : undefined;
};

/** Of a policy that is not there. */
export const explainMissingPolicy = (refused: string, policyName: string, again: string): Explanation =>
  told(
    `${refused}, which names the policy "${policyName}": there is none.`,
    `Make the policy "${policyName}", and ${again}; or let the template name another one. This makes one that allows every client id and topic, to be narrowed later`,
    createOpenPolicy(policyName),
  );

/** What became of a certificate when its successor came. */
const explainPredecessor = ({ certificateId = '', facts }: StoredRecord, successorId: string): string => {
  const thing = `the thing "${facts?.['thingName'] ?? ''}"`;
  return facts?.['predecessor'] === 'retired'
    ? `The certificate ${shortId(certificateId)} was retired: a device connected with its successor ${shortId(successorId)} for ${thing}.`
    : `The certificate ${shortId(certificateId)} was not retired by its successor ${shortId(successorId)} for ${thing}: it serves other things too.`;
};

/** A certificate or thing that a device was given. */
export const explainFleetSuccess = (record: StoredRecord): string | undefined => {
  const { eventType, facts } = record;
  const { deviceCertificateId: id, thingName, repeated } = facts ?? {};
  const certificate = id === undefined ? 'its certificate' : `the certificate ${shortId(id)}`;
  if (eventType === 'GetDeviceCredentials') {
    return `${client(record)} was given ${certificate}, and has an hour to ask for its thing with it.`;
  }
  if (eventType !== 'ProvisionDevice') return undefined;
  const { predecessor, successorId } = facts ?? {};
  if (predecessor !== undefined && successorId !== undefined) return explainPredecessor(record, successorId);
  const as = thingName === undefined ? '' : ` as the thing "${thingName}"`;
  return repeated === undefined
    ? `${client(record)} was provisioned by ${template(record)}${as}, with ${certificate}.`
    : `${client(record)} asked ${template(record)} the very same once more, and was answered as before.`;
};

const sent = ({ facts }: StoredRecord): string => {
  const names = facts?.['parameterNames'];
  return names === undefined ? '' : names === '' ? '; the device sent none' : `; the device sent ${names}`;
};

const newCsr =
  'test ! -e device.key && openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout device.key -out device.csr -subj /CN=device';

export const explainProvisioning = (reason: ProvisioningReason, record: StoredRecord): Explanation => {
  switch (reason) {
    case 'PAYLOAD_INVALID':
      return told(
        `${client(record)} sent a request of fleet provisioning that cannot be read${detail(record)}.`,
        'Send a map with text keys in the format that the last level of the topic names: JSON, or CBOR',
      );
    case 'CSR_INVALID':
      return told(
        `${client(record)} sent a certificate signing request that cannot be used${detail(record)}.`,
        'Send it in PEM, with an RSA key of 2048 bits or more, or on P-256, P-384 or P-521; openssl makes one',
        [newCsr],
      );
    case 'OWNERSHIP_TOKEN_INVALID':
      return explainToken(record);
    case 'TEMPLATE_NOT_FOUND':
      return told(
        `${client(record)} asked for its thing by ${template(record)}, which does not exist in this account and region.`,
        'Let the device name one of those that exist, and its claim policy allow it; they are listed by',
        ["aws iot list-provisioning-templates --query 'templates[].templateName'"],
      );
    case 'TEMPLATE_UNUSABLE':
      return explainTemplate(record);
    case 'PARAMETERS_INVALID':
      return told(
        `${template(record).replace('the', 'The')} cannot be carried out with the parameters of ${client(record).replace('The', 'the')}${detail(record)}${sent(record)}.`,
        'Let the device send what the template declares, or give the parameter a Default in the template',
        onTemplate(record, 'describe-provisioning-template', ' --query templateBody --output text'),
      );
    case 'PROVISIONING_HOOK_REFUSED':
      return told(
        `The pre-provisioning hook of ${template(record)} did not let ${client(record).replace('The', 'the')} be provisioned${detail(record)}.`,
        'If the device is yours, correct the function; within five seconds it must answer {"allowProvisioning": true}. Which one is asked, is told by',
        onTemplate(record, 'describe-provisioning-template', ' --query preProvisioningHook'),
      );
    case 'RESOURCE_CONFLICT':
      return told(
        `${client(record)} was not provisioned by ${template(record)}, because something that exists is different${detail(record)}.`,
        'Say in OverrideSettings of the template what is to become of what exists (REPLACE, MERGE, DO_NOTHING), or change it',
        onTemplate(record, 'describe-provisioning-template', ' --query templateBody --output text'),
      );
    case 'RESOURCE_REGISTRATION_FAILURE': {
      const refused = `${client(record)} was not provisioned by ${template(record)}`;
      const policyName = missingPolicyOf(record);
      if (policyName !== undefined) {
        return explainMissingPolicy(refused, policyName, 'let the device ask again, with the same token');
      }
      return told(
        `${refused}${detail(record)}.`,
        'Create what the template names, or correct the template; policies, types and groups are not made by their names. Nothing has remained, so the device may ask again with the same token',
        onTemplate(record, 'describe-provisioning-template', ' --query templateBody --output text'),
      );
    }
    case 'PROVISIONING_CLAIM_EXPIRED':
      return told(
        record.eventType === 'Disconnect'
          ? `${client(record)} was disconnected, because a session with a claim of a trusted user lasts five minutes.`
          : `${client(record)} showed the claim of a trusted user, which has expired after five minutes.`,
        'Let the trusted user make a new claim, and the device use it at once',
        onTemplate(record, 'create-provisioning-claim'),
      );
  }
};
