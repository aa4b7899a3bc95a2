/** What `fleetgate doctor` looks at in the domain names that an account serves: where they lead, and which certificate is shown there, and for how long. */
import type { X509Certificate } from 'node:crypto';
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
  /** Since when it is DISABLED, in words: what its deletion waits for. */
  readonly since: string;
  /** OCSP responses are to be stapled. */
  readonly isStapling: boolean;
  readonly certificateArn: string;
  /** Why what ACM has is not what is presented. */
  readonly invalid: string | undefined;
}

const askFor = async ({ server, io }: DomainSurroundings, path: string) =>
  fieldsOf(JSON.parse(await ask(server, path, io)));

/** Seconds since the epoch, as AWS writes times. */
const sinceOf = (seconds: unknown): string =>
  typeof seconds === 'number' ? ` (since ${new Date(seconds * 1000).toISOString()})` : '';

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
        since: sinceOf(described['lastStatusChangeDate']),
        isStapling: fieldsOf(described['serverCertificateConfig'])['enableOCSPCheck'] === true,
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

/** What a client of a name is shown; undefined when no handshake came about. */
interface Shown {
  readonly leaf: X509Certificate;
  /** Whether an OCSP response came with it. */
  readonly isStapled: boolean;
}

/** Tells the server that this is no attempt to get in, which the journal would keep (`lookAlpn` of the gateway). */
export const looking = { ALPNProtocols: ['fleetgate-look'], timeout: answerMsMax };

const look = (host: string, port: number, servername: string): Promise<Shown | undefined> =>
  new Promise((done) => {
    // whether it can be trusted is the matter of its clients
    const options = { host, port, servername, rejectUnauthorized: false, requestOCSP: true, ...looking };
    let isStapled = false;
    const socket = connect(options);
    const end = (shown?: Shown): void => {
      socket.destroy();
      done(shown);
    };
    socket.once('OCSPResponse', (response: Buffer | null) => {
      isStapled = response !== null && response.length > 0;
    });
    socket.once('secureConnect', () => {
      const leaf = socket.getPeerX509Certificate();
      end(leaf && { leaf, isStapled });
    });
    socket.once('error', () => end());
    socket.once('timeout', () => end());
  });

const stopStapling = (name: string): string =>
  `aws iot update-domain-configuration --domain-configuration-name ${shellWord(name)} --server-certificate-config enableOCSPCheck=false`;

/** What is wrong with what is shown under a name of the customer's own. */
const shownTrouble = (
  domain: Domain,
  shown: Shown | undefined,
  { mqttHost, mqttPort, io }: DomainSurroundings,
): Trouble | undefined => {
  const { name, domainName, isStapling } = domain;
  const named = `domain configuration "${name}"`;
  if (!shown) {
    return {
      sentence: `A TLS connection to ${domainName}, of the ${named}, fails.`,
      cure: `openssl s_client -connect ${shellWord(`${mqttHost}:${mqttPort}`)} -servername ${shellWord(domainName)}`,
    };
  }
  const notAfterMs = shown.leaf.validToDate.getTime();
  const leftMs = notAfterMs - io.now();
  if (leftMs < soonMs) {
    const when = new Date(notAfterMs).toISOString();
    return {
      sentence: `The certificate that ${domainName}, of the ${named}, is served with ${leftMs < 0 ? 'ended on' : 'ends on'} ${when}.`,
      cure: importAgain(domain),
    };
  }
  if (isStapling && !shown.isStapled) {
    return {
      sentence: `No OCSP response comes with the certificate of ${domainName}, although the ${named} asks for it: its responder cannot be reached, or does not vouch for it (the server's log says which). When it does again, nothing is to be done; to go on without:`,
      cure: stopStapling(name),
    };
  }
  return undefined;
};

/** Whether a name leads to this server. */
const addressTrouble = async (
  { name, domainName }: Domain,
  own: Shown | undefined,
  { mqttHost, mqttPort }: DomainSurroundings,
): Promise<Trouble | undefined> => {
  const named = `The name ${domainName}, of the domain configuration "${name}",`;
  const addresses = await Promise.all([domainName, mqttHost].map((it) => lookup(it).catch(() => undefined)));
  const [there, here] = addresses.map((found) => found?.address);
  const cure = 'fleetgate hosts | sudo tee -a /etc/hosts';
  if (there === undefined) return { sentence: `${named} has no address here.`, cure };
  if (there === here) return undefined;
  const shown = await look(there, mqttPort, domainName);
  if (shown && shown.leaf.fingerprint256 === own?.leaf.fingerprint256) return undefined;
  return {
    sentence: `${named} leads to ${there}, where ${shown ? 'another certificate is shown' : `nobody answers on port ${mqttPort}`}; this server is at ${here ?? mqttHost}. Its DNS record has to name that; on this machine alone:`,
    cure: `sudo sed -i ${shellWord(`/[[:space:]]${domainName.replaceAll('.', '\\.')}\\([[:space:]]\\|$\\)/d`)} /etc/hosts && ${cure}`,
  };
};

const troubleOf = async (domain: Domain, around: DomainSurroundings): Promise<Trouble | undefined> => {
  const { name, domainName, invalid } = domain;
  if (invalid !== undefined) {
    return {
      sentence: `The domain configuration "${name}" goes on presenting an older certificate than ACM has: ${invalid.replace(/\.$/, '')}.`,
      cure: importAgain(domain),
    };
  }
  const shown = await look(around.mqttHost, around.mqttPort, domainName);
  return (
    (domain.isCustomers ? shownTrouble(domain, shown, around) : undefined) ?? addressTrouble(domain, shown, around)
  );
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
    const shown = enabled.map(({ domainName }) => domainName).join(', ') || 'none';
    const disabled = domains.filter(({ isEnabled }) => !isEnabled).map(({ name, since }) => `${name}${since}`);
    return `served: ${shown}${disabled.length > 0 ? `; DISABLED: ${disabled.join(', ')}` : ''}`;
  } catch (error) {
    // the right to look at them is not needed to work with the server
    if (error instanceof CommandProblem) return `not looked at: ${error.message.split('\n')[0]}`;
    throw error;
  }
};
