/** One flag as a help page shows it. */
import type { Flag } from '../config.ts';

/** Columns of the flag and of its variable; the longest of each leaves two blanks. */
const flagColumns = 26;
const variableColumns = 30;

export const flagLine = ({ name, value, byDefault, about }: Flag, variable = ''): string => {
  const flag = `--${name}${value === undefined ? '' : ` ${value}`}`;
  return `  ${flag.padEnd(flagColumns)}${variable === '' ? '' : variable.padEnd(variableColumns)}${about}${byDefault ? ` [${byDefault}]` : ''}`;
};
