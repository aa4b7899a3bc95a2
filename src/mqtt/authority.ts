/** What mqtt/ asks of the rooms above it, as types: who is this peer, and may it do that. `node.ts` passes the implementations in. */
import type { AccountRegion } from '../aws/arn.ts';
import type { Weighing } from '../aws/decision.ts';
import type { IamPrincipal, IamSession } from '../aws/iam-principal.ts';
import type { ProvisioningStep, Reason, TlsFacts } from '../journal/record.ts';

/** What the gateway knows of a peer when its TLS handshake is done. */
export interface Peer {
  /** From the SNI; undefined when there was none: admission then looks for the single account that holds the certificate. */
  readonly account: AccountRegion | undefined;
  /** The SNI in lower case; the policy variable iot:DomainName. */
  readonly serverName: string | undefined;
  /** DER of the peer's leaf and of what it sent above it; proven by TLS to hold the private key. */
  readonly certificate: { readonly certificateId: string; readonly der: Uint8Array } | undefined;
  /** Who signed the request that opened this connection (SigV4 over HTTPS or WebSocket): then the principal, whatever certificate is there. */
  readonly signer?: Signer;
  /** MQTT inside WebSocket frames, or HTTPS without a session; absent: MQTT straight over TLS. */
  readonly transport?: 'websocket' | 'https';
  readonly tls: TlsFacts;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** This end of the connection, where the listener tells it. */
  readonly local?: { readonly address: string; readonly port: number };
}

/** An IAM identity, as a verified signature proves it. */
export interface Signer {
  readonly account: AccountRegion;
  readonly accessKeyId: string;
  /** e.g. `arn:aws:iam::000000000000:root`. */
  readonly arn: string;
  /** The `UserId` of GetCallerIdentity; the principalIdentifier of life-cycle events. */
  readonly userId: string;
  readonly iam?: IamPrincipal;
  /** Of temporary credentials. */
  readonly session?: IamSession;
}

/** What the CONNECT packet says that policies may ask about. */
export interface ConnectFacts {
  /** Undefined over HTTPS, which has no client id: policy variables of it stay unresolved (spec gateway.md 3). */
  readonly clientId: string | undefined;
  /** Values of iot:ConnectAttributes: PersistentConnect, LastWill. Empty for a plain clean connect. */
  readonly connectAttributes: readonly ('PersistentConnect' | 'LastWill')[];
  readonly lastWillTopic: string | undefined;
}

export type IotAction =
  | 'iot:Connect'
  | 'iot:Publish'
  | 'iot:RetainPublish'
  | 'iot:Subscribe'
  | 'iot:Receive'
  | 'iot:GetRetainedMessage'
  | 'iot:ListRetainedMessages'
  | 'iot:DeleteConnection'
  | 'iot:GetConnection'
  | 'iot:ListSubscriptions'
  | 'iot:SendDirectMessage';

/** What a question says beside its action and resource; policies have condition keys for it. */
export interface AskedKeys {
  /** Of a direct message (iot:Topic). */
  readonly topic?: string;
  /** Whether GetConnection is to tell addresses and ports (iot:IncludeSocketInformation). */
  readonly includeSocketInformation?: boolean;
}

/** The rights of one connection, as they are now. */
export interface Authority {
  readonly account: AccountRegion;
  /** The certificateId, or the userId of an IAM identity. */
  readonly principalId: string;
  /** Moves whenever a decision might come out differently; whoever remembers decisions keeps the revision beside them. */
  readonly revision: number;
  /**
   * Undefined while what is in memory is current. After a change of policies, attachments or things: a promise that resolves when it has been
   * read again. Nothing may be decided before that.
   */
  stale(): Promise<void> | undefined;
  /**
   * `resource` is what follows the account in the ARN: `client/dev1`, `topic/a/b`, `topicfilter/a/#`; or `*` for an action without a resource.
   */
  allows(action: IotAction, resource: string, keys?: AskedKeys): boolean;
  /** The same decision with all that was weighed, for the journal. */
  weigh(action: IotAction, resource: string, keys?: AskedKeys): Weighing;
  /** Names a cure may need, e.g. the thing that is attached. */
  facts(): Readonly<Record<string, string>>;
  /** `close` is called once, when the certificate is no longer ACTIVE, is deleted or has expired. */
  onLost(close: (reason: Reason) => void): void;
  /** Present where somebody waits for this: the CONNECT was accepted. Called once. */
  readonly connected?: (() => void) | undefined;
  /** The connection is gone. */
  release(): void;
}

export type Admission =
  | { readonly authority: Authority }
  | {
      readonly refusal: Reason;
      /** Whose journal the refusal belongs to; undefined = the operator's. */
      readonly account: AccountRegion | undefined;
      /** What exactly, where the reason alone does not say it. */
      readonly detail?: string;
      /** What was done for it all the same. */
      readonly steps?: readonly ProvisioningStep[];
      readonly facts?: Readonly<Record<string, string>>;
    };

/** Authenticates a peer at its CONNECT packet: the registry decides (certificateId, account, status, validity). iot:Connect is asked by mqtt. */
export type Admit = (peer: Peer, connect: ConnectFacts) => Promise<Admission>;
