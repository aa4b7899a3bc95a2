/** What `fleetgate start` prints when it is ready. No line has a frame at its side: everything in it is there to be copied. */
import { exportLines } from './env.ts';
import { defaultUrl } from './server.ts';
import { printable, shellWord } from './terminal.ts';

export interface StartFacts {
  readonly version: string;
  readonly apiUrl: string;
  /** The host and port that `mosquitto_pub -h ... -p ...` takes. */
  readonly mqttHost: string;
  readonly mqttPort: number;
  /** Of the same host. */
  readonly httpsPorts: readonly number[];
  /** Absolute path of the root certificate. */
  readonly caFile: string;
  readonly accountId: string;
  readonly region: string;
  /** The words by which this program is called. */
  readonly program: readonly string[];
  /** A root key that was generated now: shown once, kept by the user. */
  readonly rootKey?: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

/** Columns of the rules; longer lines run over and stay whole. */
export const boxColumns = 80;

/** JSON may be broken where it has a comma, and single quotes hold a line end as it is. */
const allowAll = '{"Version":"2012-10-17",\n      "Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}';

/**
 * A first message: a device with a certificate of its own making, a policy, the three commands that let it in, and the message. Each entry is one
 * command, in the parts at which its line may be broken.
 */
export const firstCommands = (facts: StartFacts): readonly (readonly string[])[] => {
  const { mqttHost, mqttPort, caFile, accountId, region } = facts;
  const device = `--cafile ${shellWord(caFile)} --cert device1.crt --key device1.key`;
  const broker = `-h ${shellWord(mqttHost)} -p ${mqttPort} -t my/topic`;
  return [
    ['openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN=device1', '-keyout device1.key -out device1.crt'],
    ['aws iot create-policy --policy-name AllowAll', `--policy-document '${allowAll}'`],
    [
      'id=$(aws iot register-certificate-without-ca --query certificateId',
      '--certificate-pem file://device1.crt --output text)',
    ],
    ['aws iot update-certificate --certificate-id "$id" --new-status ACTIVE'],
    ['aws iot attach-policy --policy-name AllowAll', `--target "arn:aws:iot:${region}:${accountId}:cert/$id"`],
    [`mosquitto_sub ${broker} -C 1`, `${device} & sleep 1`],
    [`mosquitto_pub ${broker} -q 1 -m hello`, device],
  ];
};

/** One command over several lines. */
const broken = (parts: readonly string[]): readonly string[] =>
  parts.map((part, index) => `  ${index === 0 ? '' : '  '}${part}${index < parts.length - 1 ? ' \\' : ''}`);

/** What `fleetgate env` in another shell cannot know of a server that is not where and what it is by default. */
const envFlags = ({ apiUrl, accountId, region }: StartFacts): readonly string[] => [
  ...(apiUrl === defaultUrl ? [] : ['--api-url', shellWord(apiUrl)]),
  ...(accountId === '000000000000' ? [] : ['--account', accountId]),
  ...(region === 'us-east-1' ? [] : ['--region', region]),
];

export const startBox = (facts: StartFacts): string => {
  const title = ` Fleetgate ${facts.version} `;
  const evalLine = `eval "$(${[...facts.program.map(shellWord), 'env', ...envFlags(facts)].join(' ')})"`;
  const rows: readonly (readonly [string, string])[] = [
    ['API', facts.apiUrl],
    ['MQTT over TLS', `${facts.mqttHost}:${facts.mqttPort}`],
    ...(facts.httpsPorts.length > 0
      ? ([['HTTPS, WSS', facts.httpsPorts.map((port) => `${facts.mqttHost}:${port}`).join(' ')]] as const)
      : []),
    ['CA file', facts.caFile],
    ['Account', facts.accountId],
    ['Region', facts.region],
    ...(facts.rootKey
      ? ([
          ['Root key', facts.rootKey.accessKeyId],
          ['Root secret', `${facts.rootKey.secretAccessKey}   (shown this once)`],
        ] as const)
      : []),
  ];
  return [
    `┌─${title}${'─'.repeat(Math.max(0, boxColumns - 3 - title.length))}┐`,
    ...rows.map(([label, value]) => `  ${label.padEnd(15)}${printable(value)}`),
    '',
    '  In the shell that is to use it:',
    ...exportLines(facts).map((line) => `  ${line}`),
    '  or all of that with the functions `aws` (for AWS CLIs before 2.13) and `fleetgate`:',
    `  ${evalLine}`,
    '',
    '  A first message:',
    ...firstCommands(facts).flatMap(broken),
    '',
    '  When something is refused:  fleetgate explain last',
    `└${'─'.repeat(boxColumns - 2)}┘`,
    '',
  ].join('\n');
};
