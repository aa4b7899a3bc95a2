/** What the node serves over the API's listener beside AWS's operations: the shape in which the rooms above hand it in. Types only. */
import type { AccountRegion } from '../aws/arn.ts';
import type { Arrival, Caller } from '../feature.ts';

/** What a page of the node's own (health, journal, root certificate) is asked with. */
export interface ExtraRequest {
  /** Parameters of the query, the first of each name. */
  readonly query: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
  readonly arrival: Arrival;
  /** This end of the connection. */
  readonly localAddress: string | undefined;
  /** A proxy's header is there: a loopback peer speaks for somebody else. */
  readonly forwarded: boolean;
  /** Who signed; undefined when the extra is not signed. */
  readonly account: AccountRegion | undefined;
  readonly caller: Caller | undefined;
}

export interface ExtraAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string | Uint8Array;
}

/** Something that the node serves beside AWS's operations. `signed` ones are signed for the service `iot`. HEAD is answered where GET is. */
export type Extra = {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly handle: (request: ExtraRequest) => ExtraAnswer | Promise<ExtraAnswer>;
} & (
  | { readonly signed: false }
  | {
      readonly signed: true;
      /** What policies call it, behind `fleetgate:`. */
      readonly name: string;
    }
);
