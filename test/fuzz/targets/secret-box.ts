/** Sealed secrets: what was sealed for a row opens in that row as it was; everything else is SecretUnreadable. The input is a sealed text, and a secret too. */
import { createSecretBox, type SecretRow, SecretUnreadable, secretBytesMax } from '../../../src/pki/secret-box.ts';
import { hold, type Target } from '../target.ts';

const box = createSecretBox(new Uint8Array(32).fill(7));
const foreign = createSecretBox(new Uint8Array(32).fill(8));
const row: SecretRow = { accountId: '000000000000', kind: 'access-key', id: 'AKIAA' };
const others: readonly SecretRow[] = [
  { ...row, accountId: '111111111111' },
  { ...row, kind: 'certificate' },
  { ...row, id: 'AKIAB' },
];
const secrets = ['', 'a', 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY', 'x'.repeat(2000)];
const sealed = new Set(secrets.map((secret) => box.seal(secret, row)));

const open = (text: string, of: SecretRow, by = box): Buffer | undefined => {
  try {
    return by.open(text, of);
  } catch (error) {
    if (!(error instanceof SecretUnreadable)) throw error;
    hold(error.message.length < 400, 'a refusal repeats nothing of what was read');
    return undefined;
  }
};

export default (): Target => ({
  corpus: [...sealed, foreign.seal('a', row), ...others.map((other) => box.seal('a', other))].map((text) =>
    Buffer.from(text),
  ),
  dictionary: ['1.', '2.', '.', '=', '-', '_', '\n', '\0', 'A'],
  bytesMax: secretBytesMax + 64,
  run(input) {
    const text = input.toString('latin1');
    const opened = open(text, row);
    hold(
      opened === undefined || secrets.includes(opened.toString()),
      'only a secret comes out that was sealed for this row',
    );
    hold(opened !== undefined || !sealed.has(text), 'what was sealed opens');
    const isOwn = sealed.has(text);
    hold(!isOwn || others.every((other) => open(text, other) === undefined), 'in no other row');
    hold(!isOwn || open(text, row, foreign) === undefined, 'and under no other key');
    if (input.length > secretBytesMax) return 'too long';
    hold(open(box.seal(input, row), row)?.equals(input) === true, 'any bytes come back as they were');
    return opened ? 'opened' : 'closed';
  },
});
