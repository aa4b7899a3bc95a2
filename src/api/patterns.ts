/**
 * The service models' patterns as JavaScript expressions. The models write them for Java, whose POSIX classes are ASCII only and unknown here, and mean the
 * whole value. Compiled once, when first asked.
 */

/** Java's classes that JavaScript lacks, as what stands inside brackets. Source: java.util.regex.Pattern, "POSIX character classes". */
const javaClasses: Readonly<Record<string, string>> = {
  Graph: '\\x21-\\x7E',
  Upper: 'A-Z',
  Digit: '0-9',
  Cntrl: '\\x00-\\x1F\\x7F',
};

const compile = (pattern: string): RegExp => {
  const translated = pattern.replace(/\\p\{(Graph|Upper|Digit|Cntrl)\}/g, (_, name: string) => javaClasses[name] ?? '');
  return new RegExp(`^(?:${translated})$`, 'u');
};

/** By the pattern's text; only the models' own patterns come here, so their number is the bound. */
const compiled = new Map<string, RegExp>();

/**
 * Whether the whole value matches a model's pattern. One of the models' patterns can take quadratic time (`^[1-9]+.[0-9]+`), the others are linear (a test
 * holds that): the caller bounds the value's length first.
 */
export const matchesPattern = (pattern: string, value: string): boolean => {
  let expression = compiled.get(pattern);
  if (!expression) {
    expression = compile(pattern);
    compiled.set(pattern, expression);
  }
  return expression.test(value);
};
