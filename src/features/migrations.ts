/** The history of the schema: what every slice has added to the store, in dependency order. */
import type { Migration } from '../store/migrate.ts';
import { migrations as accounts } from './accounts/migrations.ts';
import { migrations as certificates } from './certificates/migrations.ts';
import { migrations as policies } from './policies/migrations.ts';
import { migrations as things } from './things/migrations.ts';

export const allMigrations: readonly Migration[] = [...accounts, ...certificates, ...things, ...policies];
