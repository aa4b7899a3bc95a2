/** One flag as a help page shows it. */
import type { Flag } from '../config.ts';

/** Columns of the flag and of its variable; a longer one pushes the rest to the right. */
const flagColumns = 26;
const variableColumns = 30;
const column = (text: string, columns: number): string => `${text}  `.padEnd(columns);

export const flagLine = ({ name, value, byDefault, about }: Flag, variable = ''): string => {
  const flag = `--${name}${value === undefined ? '' : ` ${value}`}`;
  return `  ${column(flag, flagColumns)}${variable === '' ? '' : column(variable, variableColumns)}${about}${byDefault ? ` [${byDefault}]` : ''}`;
};
