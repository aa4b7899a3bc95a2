/** A node for the acceptance checks of identity.md: each check has accounts of its own, so that none sees what another has left. */
import type { TestContext } from 'node:test';
import type { IoT } from '@aws-sdk/client-iot';
import { authorities } from './ca.ts';
import { type Booted, bootNode } from './harness.ts';

export interface IdentityScene extends Booted, ReturnType<typeof authorities> {
  /** A client of an account that nobody has used yet. */
  account(): IoT;
  /** A verification certificate for an account, signed by a CA that was made here. */
  proof(iot: IoT, ca: string): Promise<string>;
  /** Makes a CA and registers it, ACTIVE and in SNI_ONLY mode unless told otherwise. Answers its id. */
  hold(iot: IoT, ca: string, more?: { setAsActive?: boolean; subject?: string; keyOf?: string }): Promise<string>;
}

export const bootIdentity = async (t: TestContext): Promise<IdentityScene> => {
  const booted = await bootNode(t);
  const maker = authorities(booted.folder);
  let accounts = 0;
  let proofs = 0;
  return {
    ...booted,
    ...maker,
    account: () => booted.iot(String(100_000_000_000 + accounts++)),
    async proof(iot, ca) {
      const { registrationCode } = await iot.getRegistrationCode({});
      return maker.leaf(`proof${proofs++}`, ca, { subject: `/CN=${registrationCode}` });
    },
    async hold(iot, ca, { setAsActive = true, ...made } = {}) {
      const caCertificate = await maker.ca(ca, made);
      const answer = await iot.registerCACertificate({ caCertificate, certificateMode: 'SNI_ONLY', setAsActive });
      return String(answer.certificateId);
    },
  };
};
