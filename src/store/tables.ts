/**
 * All tables of the store by name. Each slice extends this interface, by declaration merging, with the tables it owns:
 * `declare module '../../store/tables.ts' { interface Tables { things: ThingsTable } }`.
 */
// biome-ignore lint/suspicious/noEmptyInterface: extended by the slices
export interface Tables {}
