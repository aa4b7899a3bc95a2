/** The doors of a node for devices: one port of MQTT over TLS, those of HTTPS, and what all of them share. */
import type { TLSSocket } from 'node:tls';
import type { AccountRegion } from './aws/arn.ts';
import type { Config } from './config.ts';
import { createDataPort, type DataPortOptions } from './gateway/data-port.ts';
import type { GatewayOptions } from './gateway/gate.ts';
import { type Gateway, shareGateway, startGateway } from './gateway/listener.ts';
import { httpsProtocol, mqttsProtocol, type Protocol, type ProtocolChoice } from './gateway/protocol.ts';
import type { Peer } from './mqtt/authority.ts';
import type { Broker } from './mqtt/broker.ts';
import { StartProblem } from './start-problem.ts';

/** Turns what `listen` says into a sentence. `flag` is the option that chooses the port. */
export const listening = async <T>(start: Promise<T>, host: string, port: number, flag: string): Promise<T> => {
  try {
    return await start;
  } catch (cause) {
    // whatever listen rejects with is one of Node's system errors
    const { code } = cause as NodeJS.ErrnoException;
    const where = `port ${port} of ${host}`;
    const sentences: Record<string, string> = {
      EADDRINUSE: `The ${where} is in use: stop the other program, or choose another with ${flag} (0 takes a free one).`,
      EACCES: `This user may not listen on ${where}: choose a port above 1023 with ${flag}.`,
      EADDRNOTAVAIL: `${host} is no address of this machine: choose another with --host.`,
      ENOTFOUND: `${host} has no address: choose another with --host.`,
    };
    const sentence = sentences[code ?? ''];
    if (sentence === undefined) throw cause;
    throw new StartProblem(sentence, { cause });
  }
};

export interface ListenerOptions
  extends Pick<GatewayOptions, 'resolve' | 'serverCertificates'>,
    Pick<
      DataPortOptions,
      | 'handlers'
      | 'makeCall'
      | 'ensureAccount'
      | 'credentials'
      | 'giveCredentials'
      | 'admit'
      | 'record'
      | 'log'
      | 'extras'
    > {
  readonly config: Config;
  /** Names of this server beside the domain's. */
  readonly names: readonly string[];
  readonly account: AccountRegion;
  readonly broker: Pick<Broker, 'accept' | 'close' | 'httpMetrics'>;
}

export interface Listeners {
  readonly mqttPort: number;
  /** In the order of the configuration. */
  readonly httpsPorts: readonly number[];
  /** Takes nothing new, and ends what there is within `graceMs`, the broker's connections included. */
  close(graceMs: number): Promise<void>;
}

/** Faults: StartProblem; what was opened before is closed then. */
export const openListeners = async (options: ListenerOptions): Promise<Listeners> => {
  const { config, broker, record } = options;
  const { host, limits } = config;
  const dataPort = createDataPort({
    ...options,
    hostNames: { domain: config.domain, names: options.names, allowedOrigins: config.allowedOrigins },
    region: options.account.region,
    limits,
    acceptMqtt: broker.accept,
    // nothing else is recorded there
    record(attempt) {
      broker.httpMetrics['Connection.AuthNError']++;
      record(attempt);
    },
  });
  const common = {
    host,
    limits,
    requireSni: config.requireSni,
    resolve: options.resolve,
    serverCertificates: options.serverCertificates,
    accept(tlsSocket: TLSSocket, peer: Peer, protocol: Protocol): void {
      if (protocol.name === 'https') dataPort.accept(tlsSocket, peer, protocol);
      else broker.accept(tlsSocket, peer);
    },
    record,
    now: Date.now,
    shared: shareGateway({ limits, now: Date.now }),
  };
  const gateways: Gateway[] = [];
  const close = async (graceMs: number): Promise<void> => {
    await Promise.all([...gateways, dataPort, broker].map((each) => each.close(graceMs)));
  };
  const open = async (port: number, protocol: ProtocolChoice, flag: string): Promise<number> => {
    const gateway = await listening(startGateway({ ...common, port, protocol }), host, port, flag);
    gateways.push(gateway);
    return gateway.port;
  };
  try {
    const mqttPort = await open(config.mqttPort, mqttsProtocol, '--mqtt-port');
    const httpsPorts: number[] = [];
    for (const port of config.httpsPorts) httpsPorts.push(await open(port, httpsProtocol, '--https-port'));
    return { mqttPort, httpsPorts, close };
  } catch (error) {
    await close(0);
    throw error;
  }
};
