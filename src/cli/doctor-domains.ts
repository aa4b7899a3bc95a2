/** What `fleetgate doctor` looks at in the domain names that an account serves: where they lead, and which certificate is shown there, and for how long. */
import { lookup } from 'node:dns/promises';
import { connect } from 'node:tls';
import { CommandProblem, type Io } from './io.ts';
import { fieldsOf, listOf, textOf } from './journal-answer.ts';
import { answerMsMax, ask, type Server } from './server.ts';
import { shellWord } from './terminal.ts';

/** What keeps clients from a name, and the one thing to do about it. */
interface Trouble {
  readonly sentence: string;
  readonly cure: string;
}

export interface DomainSurroundings {
  readonly server: Server;
  readonly io: Io;
  /** By which devices reach the server. */
  readonly mqttHost: string;
  readonly mqttPort: number;
}

/** A server certificate that ends within this is told of. */
const soonMs = 30 * 86_400_000;

interface Domain {
  readonly name: string;
  readonly domainName: string;
  readonly isCustomers: boolean;
  readonly isEnabled: boolean;
  readonly certificateArn: string;
  /** Why what ACM has is not what is presented. */
  readonly invalid: string | undefined;
}

const askFor = async ({ server, io }: DomainSurroundings, path: string) =>
  fieldsOf(JSON.parse(await ask(server, path, io)));

/** What the account has made itself. Faults: CommandProblem. */
const readDomains = async (around: DomainSurroundings): Promise<readonly Domain[]> => {
  const { domainConfigurations } = await askFor(around, '/domainConfigurations?pageSize=100');
  const names = listOf(domainConfigurations).map((it) => textOf(fieldsOf(it)['domainConfigurationName']));
  const own = names.filter((name) => !name.startsWith('iot:'));
  return Promise.all(
    own.map(async (name) => {
      const described = await askFor(around, `/domainConfigurations/${encodeURIComponent(name)}`);
      const [certificate] = listOf(described['serverCertificates']).map(fieldsOf);
      return {
        name,
        domainName: textOf(described['domainName']),
        isCustomers: described['domainType'] === 'CUSTOMER_MANAGED',
        isEnabled: described['domainConfigurationStatus'] === 'ENABLED',
        certificateArn: textOf(certificate?.['serverCertificateArn']),
        invalid:
          certificate?.['serverCertificateStatus'] === 'INVALID'
            ? textOf(certificate['serverCertificateStatusDetail'])
            : undefined,
      };
    }),
  );
};

const importAgain = ({ certificateArn }: Domain): string =>
  `aws acm import-certificate --certificate-arn ${shellWord(certificateArn)} --certificate fileb://server.crt --private-key fileb://server.key --certificate-chain fileb://ca.crt   # with the new files`;

/** When the certificate that is shown under a name ends; undefined when no handshake came about. */
const shownUntil = (
  { mqttHost: host, mqttPort: port }: DomainSurroundings,
  servername: string,
): Promise<number | undefined> =>
  new Promise((done) => {
    // whether it can be trusted is the matter of its clients; here is asked how long
    const socket = connect({ host, port, servername, rejectUnauthorized: false, timeout: answerMsMax });
    const end = (notAfterMs?: number): void => {
      socket.destroy();
      done(notAfterMs);
    };
    socket.once('secureConnect', () => end(socket.getPeerX509Certificate()?.validToDate.getTime()));
    socket.once('error', () => end());
    socket.once('timeout', () => end());
  });

const troubleOf = async (domain: Domain, around: DomainSurroundings): Promise<Trouble | undefined> => {
  const { name, domainName, invalid } = domain;
  const named = `domain configuration "${name}"`;
  if (invalid !== undefined) {
    return {
      sentence: `The ${named} goes on presenting an older certificate than ACM has: ${invalid.replace(/\.$/, '')}.`,
      cure: importAgain(domain),
    };
  }
  if (domain.isCustomers) {
    const notAfterMs = await shownUntil(around, domainName);
    if (notAfterMs === undefined) {
      return {
        sentence: `A TLS connection to ${domainName}, of the ${named}, fails.`,
        cure: `openssl s_client -connect ${shellWord(`${around.mqttHost}:${around.mqttPort}`)} -servername ${shellWord(domainName)}`,
      };
    }
    const leftMs = notAfterMs - around.io.now();
    if (leftMs < soonMs) {
      const when = new Date(notAfterMs).toISOString();
      return {
        sentence: `The certificate that ${domainName}, of the ${named}, is served with ${leftMs < 0 ? 'ended on' : 'ends on'} ${when}.`,
        cure: importAgain(domain),
      };
    }
  }
  try {
    await lookup(domainName);
    return undefined;
  } catch {
    return {
      sentence: `The name ${domainName}, of the ${named}, has no address here.`,
      cure: 'fleetgate hosts | sudo tee -a /etc/hosts',
    };
  }
};

/** A line to show when all is well, or the first trouble. */
export const checkDomains = async (around: DomainSurroundings): Promise<string | Trouble> => {
  try {
    const domains = await readDomains(around);
    const enabled = domains.filter(({ isEnabled }) => isEnabled);
    for (const domain of enabled) {
      const trouble = await troubleOf(domain, around);
      if (trouble) return trouble;
    }
    if (domains.length === 0) return 'the account has made none of its own';
    const disabled = domains.length - enabled.length;
    const shown = enabled.map(({ domainName }) => domainName).join(', ') || 'none';
    return `served: ${shown}${disabled > 0 ? `; ${disabled} DISABLED` : ''}`;
  } catch (error) {
    // the right to look at them is not needed to work with the server
    if (error instanceof CommandProblem) return `not looked at: ${error.message}`;
    throw error;
  }
};
