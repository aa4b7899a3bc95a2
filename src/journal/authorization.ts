/** Why the policies refused, and how to let it through: the part of explain.ts that reads a weighed decision. Source: spec policy.md 3-6. */
import type { WeighedStatement } from '../aws/decision.ts';
import {
  allowExactly,
  allowRequest,
  attachPolicy,
  attachThing,
  certificateArn,
  certificateIdOf,
  type Explanation,
  type Surroundings,
  shortId,
} from './cure-lines.ts';
import { command, script } from './shell.ts';
import { printableJson, type StoredRecord } from './stored-record.ts';

const thingNameShape = /^[a-zA-Z0-9:_-]{1,128}$/;
/** `iot:Connection.Thing.ThingName` and its alias. Source: spec policy.md 4.4. */
const thingNameVariable = /^iot:(connection\.)?thing\.thingname$/i;

const named = (statement: WeighedStatement): string =>
  `${statement.sid === undefined ? `Statement[${statement.index}]` : `statement "${statement.sid}"`} of policy "${
    statement.policyName
  }" version ${statement.policyVersionId}`;

const asked = (record: StoredRecord): string =>
  `${record.action ?? 'an action'} on "${(record.resource ?? '').replace(/^arn:[^:]*:iot:[^:]*:[^:]*:/, '')}"`;

const subject = (record: StoredRecord): string =>
  `${record.clientId === undefined ? 'A client' : `Client "${record.clientId}"`} with certificate ${
    record.certificateId === undefined ? 'unknown' : shortId(record.certificateId)
  }`;

/** Source: spec policy.md 1. */
const policiesPerCertificateMax = 10;
const isFull = ({ facts }: StoredRecord): boolean =>
  (facts?.['policyNames'] ?? '').split(' ').length >= policiesPerCertificateMax;

/** A request of fleet provisioning, or a reply to it: `topic` is what stands before the format. */
const provisioningTopic =
  /:(?:topic|topicfilter)\/(?<topic>\$aws\/(?:certificates\/create(?:-from-csr)?|provisioning-templates\/(?<template>[^/+#]+)\/provision))\/[\s\S]+$/;

/** Lines that allow what was asked, as narrowly as can be said; empty when a value of it cannot be put into a command. */
const allowAsked = (record: StoredRecord, surroundings: Surroundings): readonly string[] => {
  const { action, resource, altered = [] } = record;
  const certificateId = certificateIdOf(record);
  if (action === undefined || resource === undefined || certificateId === undefined) return [];
  if (altered.includes('action') || altered.includes('resource') || isFull(record)) return [];
  const target = certificateArn(record, certificateId, surroundings);
  const request = provisioningTopic.exec(resource)?.groups?.['topic'];
  return request === undefined
    ? allowExactly(action, resource, target)
    : allowRequest(request, record.account ?? surroundings.account, target);
};

const allowCure = (record: StoredRecord, commands: readonly string[]): string => {
  if (commands.length > 0) {
    const request = provisioningTopic.exec(record.resource ?? '')?.groups;
    if (request) {
      const { template } = request;
      const may = template === undefined ? 'it may ask so' : `it may be provisioned by the template "${template}"`;
      return `If ${may}, this allows that request and its replies, and nothing more:`;
    }
    return `If it should be allowed, this allows exactly that and nothing more${
      record.action === 'iot:Subscribe' ? ' (to be sent messages it also needs iot:Receive on their topics)' : ''
    }:`;
  }
  if (isFull(record)) {
    return `Allow it: the certificate already has ${policiesPerCertificateMax} policies, the most it can have, so add the statement to one of them.`;
  }
  return 'Attach a policy that allows it. No command is printed because the request holds characters that are not safe to paste.';
};

const implicitDeny = (record: StoredRecord, cause: string, surroundings: Surroundings): Explanation => {
  const commands = allowAsked(record, surroundings);
  return { sentence: `${subject(record)} ${cause}`, cure: allowCure(record, commands), commands };
};

const withoutPolicy = (record: StoredRecord, surroundings: Surroundings): Explanation => {
  const certificateId = certificateIdOf(record);
  const former = certificateId === undefined ? [] : (surroundings.policyNames ?? []);
  const target = certificateId === undefined ? '' : certificateArn(record, certificateId, surroundings);
  const commands = script(...former.map((policyName) => attachPolicy(policyName, target)));
  if (commands.length === 0) {
    return implicitDeny(
      record,
      `was refused ${asked(record)}: no policy is attached to the certificate.`,
      surroundings,
    );
  }
  return {
    sentence: `${subject(record)} was refused ${asked(record)}: no policy is attached to the certificate any more.`,
    cure: `If it should be allowed, attach what the certificate was last seen with (or, if that is gone, another policy):`,
    commands,
  };
};

const unresolvedThing = (record: StoredRecord, statement: WeighedStatement, surroundings: Surroundings) => {
  const { clientId, facts, altered = [] } = record;
  const certificateId = certificateIdOf(record);
  const sentence =
    `${subject(record)} was refused ${asked(record)}: \${iot:Connection.Thing.ThingName} in ${named(statement)} has no value, ` +
    'because no thing named like the client id is attached to the certificate.';
  const thingName = facts?.['thingName'];
  const useThing = thingName ? `Connect with the client id "${thingName}", the thing that is attached` : '';
  const attachable =
    clientId !== undefined &&
    certificateId !== undefined &&
    !altered.includes('clientId') &&
    thingNameShape.test(clientId);
  if (attachable) {
    const cure = `${useThing ? `${useThing}; or make` : 'Make'} a thing named like the client id and attach it to the certificate:`;
    return {
      sentence,
      cure,
      commands: attachThing(clientId, certificateArn(record, certificateId, surroundings)),
    };
  }
  return {
    sentence,
    cure: `${useThing || 'Connect with the name of a thing that is attached to the certificate as client id'}; this client id cannot be the name of a thing.`,
    commands: [],
  };
};

/** Of a request that may name its thing, and does not. */
const unnamedThing = (record: StoredRecord, statement: WeighedStatement, names: readonly string[]): Explanation => {
  const attached = record.facts?.['thingName'];
  const list = names.map((name) => `\${${name}}`).join(', ');
  const header = 'in the header x-amzn-iot-thingname';
  return {
    sentence: `${subject(record)} was refused ${asked(record)}: ${list} in ${named(statement)} has no value, because the request names no thing.`,
    cure:
      attached === undefined
        ? `Attach a thing to the certificate (aws iot attach-thing-principal), and let the device name it ${header}.`
        : `Let the device name its thing ${header}: "${attached}" is attached to the certificate.`,
    commands: [],
  };
};

/** The document without the statements at these positions; undefined when the text is no policy document. */
const documentWithout = (text: string, indexes: ReadonlySet<number>): { text: string; empty: boolean } | undefined => {
  try {
    const document: unknown = JSON.parse(text);
    if (typeof document !== 'object' || document === null || !('Statement' in document)) return undefined;
    const all: readonly unknown[] = Array.isArray(document.Statement) ? document.Statement : [document.Statement];
    const kept = all.filter((_, index) => !indexes.has(index));
    return { text: printableJson({ ...document, Statement: kept }), empty: kept.length === 0 };
  } catch {
    return undefined;
  }
};

const explicitDeny = (record: StoredRecord, surroundings: Surroundings): Explanation => {
  const statements = record.statements ?? [];
  const denying = statements.filter(({ effect, outcome }) => effect === 'Deny' && outcome === 'matched');
  const deciding = statements[record.decidedBy ?? -1] ?? denying[0];
  if (!deciding) {
    return {
      sentence: `${subject(record)} was refused ${asked(record)} by an explicit Deny.`,
      cure: 'Find the Deny among the policies of the certificate and take it out, if it is not meant.',
      commands: [],
    };
  }
  const ofSameVersion = denying.filter(({ policyArn, policyVersionId }) => {
    return policyArn === deciding.policyArn && policyVersionId === deciding.policyVersionId;
  });
  const others = denying.filter((statement) => !ofSameVersion.includes(statement));
  const sentence = `${subject(record)} was refused ${asked(record)}: ${named(deciding)} denies it, and a Deny outweighs every Allow.`;
  const without = documentWithout(
    record.facts?.['decidingDocument'] ?? '',
    new Set([deciding.index, ...ofSameVersion.map(({ index }) => index)]),
  );
  const certificateId = certificateIdOf(record);
  if (!without || certificateId === undefined) {
    return { sentence, cure: `If it is not meant, take ${named(deciding)} out of the policy.`, commands: [] };
  }
  const policyName = deciding.policyName;
  const lift = without.empty
    ? command`aws iot detach-policy --policy-name=${policyName} --target ${certificateArn(record, certificateId, surroundings)}`
    : command`aws iot create-policy-version --policy-name=${policyName} --set-as-default --policy-document ${without.text}`;
  const allowed = statements.some(({ effect, outcome }) => effect === 'Allow' && outcome === 'matched');
  const commands = lift === undefined ? [] : [lift, ...(allowed ? [] : allowAsked(record, surroundings))];
  const also = others.length > 0 ? ` ${others.map(named).join(', ')} deny it too.` : '';
  const reach = without.empty
    ? 'detach that policy, which says nothing else'
    : 'make a version of the policy without it';
  return { sentence, cure: `If the Deny is not meant, ${reach}:${also}`, commands };
};

/** Refused whatever the policies say: nothing was weighed. Source: spec gateway.md 6. */
const ofTheService = (record: StoredRecord): Explanation => ({
  sentence: `${subject(record)} was refused to publish on "${record.facts?.['topic'] ?? ''}": ${record.detail}.`,
  cure: 'No policy can allow it: publish to the request topic in front of it, and subscribe to this one.',
  commands: [],
});

/** What the policies say instead, if it is one of the mistakes that many make (mqtt/rights.ts). */
const mistakeOf = ({ action, resource = '', facts }: StoredRecord): string | undefined => {
  const written = facts?.['allowedInstead'];
  if (written === undefined) return undefined;
  const allows = `its policies allow ${action} on "${written}"`;
  if (written.startsWith('topic/') && resource.includes(':topicfilter/')) {
    return `${allows}, but what is subscribed to is a topicfilter/ in a policy, not a topic/`;
  }
  if (written.startsWith('topicfilter/') && resource.includes(':topic/')) {
    return `${allows}, but only iot:Subscribe is about a topicfilter/; here the resource is a topic/`;
  }
  return `${allows}, but create/ does not cover create-from-csr/, which a device with a key of its own asks on`;
};

/** The claim of a trusted user is no device certificate: no policy can be attached to it. Source: spec provisioning 5. */
const ofTrustedUser = (record: StoredRecord, templateName: string): Explanation => {
  const asks = provisioningTopic.exec(record.resource ?? '')?.groups?.['template'];
  const another =
    asks === undefined || asks === templateName || record.altered?.includes('resource')
      ? []
      : script(command`aws iot create-provisioning-claim --template-name=${asks}`);
  return {
    sentence: `${subject(record)} was refused ${asked(record)}: it showed the claim of a trusted user, which may ask for certificates and for provisioning by the template "${templateName}", and nothing else.`,
    cure: `No policy can be attached to such a claim. Let the device ask for the template "${templateName}"${another.length > 0 ? ', or give it a claim for the other one:' : ' and nothing else, and connect with its own certificate afterwards.'}`,
    commands: another,
  };
};

/** The values of a thing are missing where a device asked for credentials without the name of one. */
const isUnnamed = ({ eventType, facts }: StoredRecord, names: readonly string[]): boolean =>
  eventType === 'AssumeRoleWithCertificate' &&
  facts?.['namedThing'] === undefined &&
  names.length > 0 &&
  names.every((name) => /^iot:(connection\.)?thing\./i.test(name));

/** Explains a refusal by policy: the first cause among what was weighed. */
export const explainAuthorization = (record: StoredRecord, surroundings: Surroundings): Explanation => {
  if (record.action === undefined && record.detail !== undefined) return ofTheService(record);
  const claimsTemplate = record.facts?.['provisioningTemplateName'];
  if (claimsTemplate !== undefined) return ofTrustedUser(record, claimsTemplate);
  if (record.decision === 'EXPLICIT_DENY') return explicitDeny(record, surroundings);
  const statements = record.statements ?? [];
  const allows = statements.filter(({ effect }) => effect === 'Allow');
  if (record.statements && statements.length === 0) return withoutPolicy(record, surroundings);
  const unresolved = allows.find(({ outcome }) => outcome === 'unresolved');
  if (unresolved) {
    const names = unresolved.unresolved ?? record.unresolved ?? [];
    if (isUnnamed(record, names)) return unnamedThing(record, unresolved, names);
    if (names.length > 0 && names.every((name) => thingNameVariable.test(name))) {
      return unresolvedThing(record, unresolved, surroundings);
    }
    const list = names.map((name) => `\${${name}}`).join(', ') || 'a policy variable';
    const cause = `was refused ${asked(record)}: ${named(unresolved)} does not apply, because ${list} has no value for this connection.`;
    return implicitDeny(record, cause, surroundings);
  }
  const conditional = allows.find(({ outcome }) => outcome === 'condition');
  if (conditional) {
    const condition = conditional.condition === undefined ? 'its condition' : `its condition ${conditional.condition}`;
    const cause = `was refused ${asked(record)}: ${named(conditional)} would allow it, but ${condition} is not met.`;
    return implicitDeny(record, cause, surroundings);
  }
  const mistake = mistakeOf(record);
  if (mistake !== undefined) {
    return implicitDeny(record, `was refused ${asked(record)}: ${mistake}.`, surroundings);
  }
  const elsewhere = allows.find(({ outcome }) => outcome === 'resource');
  if (elsewhere) {
    const cause = `was refused ${asked(record)}: ${named(elsewhere)} allows ${record.action ?? 'the action'} only on other resources.`;
    return implicitDeny(record, cause, surroundings);
  }
  return implicitDeny(record, `was refused ${asked(record)}: none of its policies allows that action.`, surroundings);
};
