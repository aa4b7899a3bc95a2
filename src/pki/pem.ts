/** The textual form of keys and certificates (RFC 7468), read leniently and written in one way. */

const base64 = /^[A-Za-z0-9+/]*={0,2}$/;

/**
 * The bytes of every block with this label, in order, at most `blocksMax`. Text before, between and after blocks is skipped.
 * A block that has no end or is not base64 ends the reading: undefined. Linear in the length of `text`.
 */
export const pemBlocks = (text: string, label: string, blocksMax: number): readonly Uint8Array[] | undefined => {
  const begin = `-----BEGIN ${label}-----`;
  const end = `-----END ${label}-----`;
  const blocks: Uint8Array[] = [];
  let at = text.indexOf(begin);
  while (at >= 0 && blocks.length < blocksMax) {
    const bodyEnd = text.indexOf(end, at + begin.length);
    if (bodyEnd < 0) return undefined;
    const body = text.slice(at + begin.length, bodyEnd).replaceAll(/\s+/g, '');
    if (body.length === 0 || body.length % 4 !== 0 || !base64.test(body)) return undefined;
    blocks.push(Buffer.from(body, 'base64'));
    at = text.indexOf(begin, bodyEnd + end.length);
  }
  return blocks;
};

/** The first block with this label; undefined when there is none, or it cannot be read. */
export const firstPemBlock = (text: string, label: string): Uint8Array | undefined => pemBlocks(text, label, 1)?.[0];

/** A block of 64-character lines that ends in a newline. */
export const toPem = (label: string, der: Uint8Array): string => {
  const lines =
    Buffer.from(der.buffer, der.byteOffset, der.byteLength)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
};
