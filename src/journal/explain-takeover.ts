/** A connection that ended because another one used its client id: a device that is there twice, or somebody who has stolen a claim. */
import { type Explanation, shortId } from './cure-lines.ts';
import type { StoredRecord } from './stored-record.ts';

type Taken = Pick<StoredRecord, 'facts' | 'sourceIp' | 'sourcePort' | 'certificateId'>;

/** Both peers, where the one that came later is known. */
const peersOf = ({ facts, sourceIp, sourcePort, certificateId }: Taken): string => {
  const successor = facts?.['successor'];
  const former = certificateId === undefined ? '' : ` (principal ${certificateId})`;
  return successor === undefined ? '' : `: ${successor} took it from ${sourceIp} port ${sourcePort}${former}`;
};

/** The certificate that took the client id, when it is not the same as the one that lost it. */
const strangerOf = ({ facts, certificateId }: Taken): string | undefined => {
  const [, taker] = / \(principal ([0-9a-f]{64})\)$/.exec(facts?.['successor'] ?? '') ?? [];
  return taker === certificateId ? undefined : taker;
};

/** `subject`: the client, at the beginning of a sentence. */
export const explainTakenOver = (subject: string, record: Taken): Explanation => {
  const stranger = strangerOf(record);
  const theft =
    stranger === undefined
      ? ''
      : ` If the certificate ${shortId(stranger)} is in no device of yours, it is a stolen claim, or was got by one: set it and that claim to REVOKED, and give your devices a new claim.`;
  return {
    sentence: `${subject} was disconnected because a new connection used the same client id${peersOf(record)}.`,
    cure: `Give every device a client id of its own.${theft}`,
    commands: [],
  };
};
