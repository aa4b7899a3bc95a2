/** The history of the schema: what every slice, the broker and the task runner have added to the store, in dependency order. */
import { migrations as mqtt } from '../mqtt/migrations.ts';
import { retainedMigrations as retained } from '../mqtt/retained-rows.ts';
import type { Migration } from '../store/migrate.ts';
import { migrations as tasks } from '../tasks.ts';
import { migrations as accounts } from './accounts/migrations.ts';
import { migrations as acm } from './acm/migrations.ts';
import { migrations as bulk } from './bulk/migrations.ts';
import { migrations as cas } from './cas/migrations.ts';
import { migrations as certificates } from './certificates/migrations.ts';
import { migrations as domains } from './domains/migrations.ts';
import { migrations as fleet } from './fleet/migrations.ts';
import { migrations as iam } from './iam/migrations.ts';
import { migrations as policies } from './policies/migrations.ts';
import { migrations as provisioning } from './provisioning/migrations.ts';
import { migrations as roles } from './roles/migrations.ts';
import { migrations as settings } from './settings/migrations.ts';
import { migrations as tags } from './tags/migrations.ts';
import { migrations as things } from './things/migrations.ts';

export const allMigrations: readonly Migration[] = [
  ...tasks,
  ...retained,
  ...accounts,
  ...iam,
  ...tags,
  ...acm,
  ...domains,
  ...certificates,
  ...cas,
  ...things,
  ...policies,
  ...roles,
  ...settings,
  ...provisioning,
  ...fleet,
  ...bulk,
  ...mqtt,
];
