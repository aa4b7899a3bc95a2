/**
 * JSON.parse keeps the last of two equal keys without a word; a policy that says `"Effect"` twice would then mean something else than it reads.
 * This scanner walks a text that JSON.parse has already accepted, so it need not check the grammar: it follows brackets, strings and commas, and
 * keeps one frame per open bracket. Equal means equal after unescaping.
 */
import { inside, quoted } from './quoted.ts';

interface Frame {
  /** Keys seen so far; undefined for an array. */
  readonly keys: Set<string> | undefined;
  /** The key or the position that is being read. */
  at: string | number;
}

const place = (frames: readonly Frame[]): string =>
  frames.reduce((outer, { at }) => (typeof at === 'number' ? `${outer}[${at}]` : inside(outer, at)), '');

/** Index of the closing quote of the string whose opening quote is at `start`. */
function closingQuote(json: string, start: number): number {
  let i = start + 1;
  while (i < json.length && json.charCodeAt(i) !== 0x22) i += json.charCodeAt(i) === 0x5c ? 2 : 1;
  return i;
}

/** Says where in the text what is wrong, by throwing; the place is empty for the text as a whole. */
export type RefuseJson = (place: string, problem: string) => never;

/** Refuses repeated keys and nesting beyond `nestingMax`. `json` must be valid JSON. */
export function checkKeys(json: string, nestingMax: number, refuse: RefuseJson): void {
  const frames: Frame[] = [];
  let keyComes = false;
  for (let i = 0; i < json.length; i++) {
    const frame = frames.at(-1);
    switch (json[i]) {
      case '{':
      case '[': {
        if (frames.length === nestingMax) refuse('', `nested deeper than ${nestingMax} levels`);
        keyComes = json[i] === '{';
        frames.push(keyComes ? { keys: new Set(), at: '' } : { keys: undefined, at: 0 });
        break;
      }
      case '}':
      case ']':
        frames.pop();
        keyComes = false;
        break;
      case ',':
        if (frame?.keys) keyComes = true;
        else if (frame) frame.at = Number(frame.at) + 1;
        break;
      case '"': {
        const end = closingQuote(json, i);
        if (keyComes && frame?.keys) {
          const key: unknown = JSON.parse(json.slice(i, end + 1));
          const name = String(key);
          if (frame.keys.has(name)) refuse(place(frames.slice(0, -1)), `key ${quoted(name)} occurs twice`);
          frame.keys.add(name);
          frame.at = name;
          keyComes = false;
        }
        i = end;
        break;
      }
    }
  }
}
