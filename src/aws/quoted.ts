const quotedCharactersMax = 80;

/** A foreign value as a fault may show it: JSON with its control characters escaped, cut to a bounded length. */
export function quoted(value: unknown): string {
  const json =
    JSON.stringify(typeof value === 'string' ? value.slice(0, quotedCharactersMax + 1) : value) ?? String(value);
  return json.length > quotedCharactersMax ? `${json.slice(0, quotedCharactersMax)}...` : json;
}
