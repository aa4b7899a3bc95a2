/** `{n}` and `{thing}` in flags, which stand for something else with every device. */

/** Names in braces that look like placeholders and are none; a slip of the pen would make all devices the same. */
export const unknownPlaceholders = (text: string, known: readonly string[]): readonly string[] =>
  (text.match(/\{[A-Za-z_-]+\}/g) ?? []).filter((each) => !known.includes(each.slice(1, -1)));

export const hasPlaceholder = (text: string, name: string): boolean => text.includes(`{${name}}`);

/** Puts the values in; what they hold themselves is not looked at again. */
export const fill = (text: string, values: Readonly<Record<string, string>>): string =>
  text.replace(/\{([A-Za-z_-]+)\}/g, (whole, name: string) =>
    Object.hasOwn(values, name) ? (values[name] ?? '') : whole,
  );
