/** One flag as a help page shows it. */
import type { Flag } from '../config.ts';

export const flagLine = ({ name, value, byDefault, about }: Flag, variable = ''): string => {
  const flag = `--${name}${value === undefined ? '' : ` ${value}`}`;
  return `  ${flag.padEnd(26)}${variable === '' ? '' : variable.padEnd(27)}${about}${byDefault ? ` [${byDefault}]` : ''}`;
};
