const quotedCharactersMax = 80;

/** A foreign value as a fault may show it: JSON with its control characters escaped, cut to a bounded length. */
export function quoted(value: unknown): string {
  const json =
    JSON.stringify(typeof value === 'string' ? value.slice(0, quotedCharactersMax + 1) : value) ?? String(value);
  return json.length > quotedCharactersMax ? `${json.slice(0, quotedCharactersMax)}...` : json;
}

const plainName = /^[\w:-]{1,80}$/;

/** The place of a member of an object in JSON, e.g. `Resources.thing`, or `Resources["a b"]`: names as `quoted` shows them. */
export function inside(place: string, name: string): string {
  if (!plainName.test(name)) return `${place}[${quoted(name)}]`;
  return place === '' ? name : `${place}.${name}`;
}
