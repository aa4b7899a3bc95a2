/**
 * Who sends a request on a connection of the data port (design 3): a signature, when there is one, is the principal, otherwise the certificate of the
 * connection; where ALPN asked for the certificate (x-amzn-http-ca) it is that alone. Every refusal is ForbiddenException to the client, as AWS's data
 * plane answers, and a record with the cause to the journal, which repeats nothing of the query.
 */
import type { Socket } from 'node:net';
import { authenticate } from '../api/authenticate.ts';
import { hostOf } from '../api/host.ts';
import type { Incoming } from '../api/incoming.ts';
import { isSigned } from '../api/signature.ts';
import { SignatureFault } from '../api/signature-fault.ts';
import { signingNames } from '../api/wires.ts';
import { iotArn } from '../aws/arn.ts';
import { Fault } from '../aws/fault.ts';
import type { FindIdentity } from '../aws/identity.ts';
import type { Caller } from '../feature.ts';
import type { JournalRecord, Reason, RecordAttempt } from '../journal/record.ts';
import type { Admit, Authority, ConnectFacts, Peer, Signer } from '../mqtt/authority.ts';
import { peerOver } from './peer.ts';
import { signatureRecord } from './signature-record.ts';

/** A connection of the data port. */
export interface DataConnection {
  readonly socket: Socket;
  readonly peer: Peer;
  /** ALPN asked for the certificate. */
  readonly certificateOnly: boolean;
  /** What the domain configuration leaves of HTTPS; absent: all. */
  readonly carries?: 'requests' | 'upgrades';
  /** Of the certificate, from the first request that needed it to the end of the connection. */
  authority?: Promise<Authority>;
}

export interface PrincipalOptions {
  readonly credentials: FindIdentity;
  /** Must know signers too. */
  readonly admit: Admit;
  /** The only region without SNI. */
  readonly region: string;
  readonly record: RecordAttempt;
}

/** The longest life of a presigned URL (spec gateway.md 2.1). */
const expiresSecondsMax = 86_400;

/** HTTPS has neither client id nor will (spec gateway.md 3). */
const httpsFacts: ConnectFacts = { clientId: undefined, connectAttributes: [], lastWillTopic: undefined };

/** What a refused client is told. */
const forbidden = (message: string): Fault => new Fault('ForbiddenException', message);

export interface Principals {
  /** The caller of one request and its body, the right of a certificate being kept for the next one. */
  ofRequest(
    request: Incoming,
    connection: DataConnection,
  ): Promise<{ caller: Caller; account: Signer['account']; body: Uint8Array }>;
  /** The rights of the connection's certificate as they are now, whatever signature is there. Faults: ForbiddenException. */
  ofCertificate(request: Incoming, connection: DataConnection): Promise<Authority>;
  /** The peer for the broker, which asks for its rights by itself. */
  ofUpgrade(request: Incoming, connection: DataConnection): Promise<Peer>;
}

export const createPrincipals = ({ credentials, admit, region, record }: PrincipalOptions): Principals => {
  const refuse = (peer: Peer, reason: Reason, more: Partial<JournalRecord> = {}): void =>
    record({
      eventType: 'Connection.AuthNError',
      status: 'Failure',
      reason,
      protocol: 'HTTP',
      sourceIp: peer.remoteAddress,
      sourcePort: peer.remotePort,
      tls: peer.tls,
      ...(peer.account && { account: peer.account }),
      ...more,
    });

  /** The signer of a request, and its body. */
  const signerOf = async (
    request: Incoming,
    { peer }: DataConnection,
  ): Promise<{ signer: Signer; body: Uint8Array }> => {
    const hostHeader = request.headerMap.get('host') ?? '';
    const otherHosts = [hostOf(hostHeader), peer.serverName].filter((host) => host !== undefined);
    try {
      const { account, caller, body } = await authenticate(request, {
        services: signingNames['iot-data'],
        hostRegion: peer.account?.region ?? region,
        credentials,
        otherHosts,
        tokenMayFollow: true,
        expiresSecondsMax,
      });
      if (peer.account && peer.account.accountId !== account.accountId) {
        throw new SignatureFault(
          'UnrecognizedClientException',
          'The security token included in the request is invalid.',
          {
            problem: 'INVALID',
            detail: 'the access key belongs to another account than the host name',
          },
        );
      }
      return { signer: { account, ...caller }, body };
    } catch (error) {
      const found = signatureRecord(error);
      if (found?.reason) refuse(peer, found.reason, found);
      throw error;
    }
  };

  /** Asks the registry about a certificate. Faults: ForbiddenException. */
  const admitted = async (peer: Peer, request: Incoming): Promise<Authority> => {
    if (!peer.certificate) {
      const asksAuthorizer = [...request.headerMap.keys()].some((name) => name.startsWith('x-amz-customauthorizer-'));
      if (asksAuthorizer) refuse(peer, 'NOT_AVAILABLE', { detail: 'custom authorizers' });
      else refuse(peer, 'NOT_AUTHENTICATED');
      throw forbidden('Missing Authentication Token');
    }
    const admission = await admit(peer, httpsFacts);
    if ('authority' in admission) return admission.authority;
    const { refusal, account, facts } = admission;
    refuse(peer, refusal, {
      certificateId: peer.certificate.certificateId,
      ...(account && { account }),
      ...(facts && { facts }),
    });
    throw forbidden('The client certificate is not accepted');
  };

  /** The authority of the connection's certificate, asked for once and given up with the connection. */
  const authorityOf = (connection: DataConnection, request: Incoming): Promise<Authority> => {
    connection.authority ??= admitted(peerOver(connection.peer, { transport: 'https' }), request).then(
      (authority) => {
        const { socket } = connection;
        if (socket.destroyed) authority.release();
        else {
          socket.once('close', () => authority.release());
          authority.onLost(() => socket.destroy());
        }
        return authority;
      },
      (error: unknown) => {
        delete connection.authority;
        throw error;
      },
    );
    return connection.authority;
  };

  const currentAuthorityOf = async (connection: DataConnection, request: Incoming): Promise<Authority> => {
    const authority = await authorityOf(connection, request);
    for (let stale = authority.stale(); stale !== undefined; stale = authority.stale()) await stale;
    return authority;
  };

  const isSigner = (request: Incoming, connection: DataConnection): boolean =>
    !connection.certificateOnly && isSigned(request.headers, request.query);

  return {
    async ofRequest(request, connection) {
      if (isSigner(request, connection)) {
        const { signer, body } = await signerOf(request, connection);
        const admission = await admit(peerOver(connection.peer, { transport: 'https', signer }), httpsFacts);
        if ('refusal' in admission) {
          refuse(connection.peer, admission.refusal);
          throw forbidden('The signer is not accepted');
        }
        const { account, ...caller } = signer;
        return { account, caller: { ...caller, principal: admission.authority }, body };
      }
      const authority = await currentAuthorityOf(connection, request);
      const { account, principalId } = authority;
      return {
        account,
        caller: {
          accessKeyId: '',
          arn: iotArn(account, 'cert', principalId),
          userId: principalId,
          principal: authority,
        },
        body: await request.body(),
      };
    },
    ofCertificate: (request, connection) => currentAuthorityOf(connection, request),
    async ofUpgrade(request, connection) {
      if (isSigner(request, connection)) {
        const { signer } = await signerOf(request, connection);
        return peerOver(connection.peer, { transport: 'websocket', signer });
      }
      const peer = peerOver(connection.peer, { transport: 'websocket' });
      (await admitted(peer, request)).release();
      return peer;
    },
  };
};
