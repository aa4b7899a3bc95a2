/** What `fleetgate start` prints when it is ready. No line has a frame at its side: everything in it is there to be copied. */
import { exportLines } from './env.ts';
import { printable, shellWord } from './terminal.ts';

export interface StartFacts {
  readonly version: string;
  readonly apiUrl: string;
  /** The host and port that `mosquitto_pub -h ... -p ...` takes. */
  readonly mqttHost: string;
  readonly mqttPort: number;
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

/** A first message in three commands: a policy, a device that has it, a message from that device. */
export const firstCommands = ({ caFile, mqttHost, mqttPort }: StartFacts): readonly (readonly string[])[] => [
  ['aws iot create-policy --policy-name AllowAll', `--policy-document '${allowAll}'`],
  [
    'aws iot attach-policy --policy-name AllowAll --target "$(',
    '  aws iot create-keys-and-certificate --set-as-active',
    '  --certificate-pem-outfile device.pem --private-key-outfile device.key',
    '  --query certificateArn --output text)"',
  ],
  [
    `mosquitto_pub -d -h ${shellWord(mqttHost)} -p ${mqttPort} --cafile ${shellWord(caFile)}`,
    '--cert device.pem --key device.key -q 1 -t hello -m world',
  ],
];

/** One command over several lines. */
const broken = (parts: readonly string[]): readonly string[] =>
  parts.map((part, index) => `  ${index === 0 ? '' : '  '}${part}${index < parts.length - 1 ? ' \\' : ''}`);

export const startBox = (facts: StartFacts): string => {
  const title = ` Fleetgate ${facts.version} `;
  const evalLine = `eval "$(${facts.program.map(shellWord).join(' ')} env)"`;
  const rows: readonly (readonly [string, string])[] = [
    ['API', facts.apiUrl],
    ['MQTT over TLS', `${facts.mqttHost}:${facts.mqttPort}`],
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
