/** What policies may ask about a connection: one reading of it for the gateway's decisions and for TestAuthorization's. Source: spec policy 4.4, 5. */
import type { PolicyContext } from '../../policy/context.ts';
import type { ConnectionThings } from '../things/thing-principal.ts';
import { certificateFacts } from './certificate-facts.ts';

/** The facts that hold for as long as a connection does; a connection that is only supposed leaves out what nobody knows of it. */
export interface ConnectionFacts
  extends Pick<PolicyContext, 'clientId' | 'sourceIp' | 'domainName' | 'connectAttributes' | 'lastWillTopic' | 'now'> {
  readonly certificateId: string;
  readonly der: Uint8Array | undefined;
}

export const connectionContext = ({ certificateId, der, ...facts }: ConnectionFacts): PolicyContext => ({
  ...facts,
  certificate: certificateFacts(certificateId, der),
});

/** The same with the thing that the connection speaks for, if it speaks for one. */
export const withThing = (context: PolicyContext, { thing }: ConnectionThings): PolicyContext =>
  thing
    ? {
        ...context,
        thing: {
          name: thing.thingName,
          attached: true,
          exclusive: thing.exclusive,
          type: thing.thingTypeName,
          attributes: thing.attributes,
        },
      }
    : context;
