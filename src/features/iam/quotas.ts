/** How much an account's IAM may hold. Source: IAM user guide, "IAM and AWS STS quotas" (the defaults). Sizes are characters without white space. */

/** Users, groups and roles of an account, with the name that AWS gives the quota. */
export const entitiesMax = {
  user: ['UsersPerAccount', 5000],
  group: ['GroupsPerAccount', 300],
  role: ['RolesPerAccount', 1000],
} as const;

/** Managed policies attached to one user, group or role. */
export const attachmentsMax = {
  user: ['AttachedPoliciesPerUser', 10],
  group: ['AttachedPoliciesPerGroup', 10],
  role: ['PoliciesPerRole', 10],
} as const;

/** All inline policies of one together. */
export const inlineCharactersMax = { user: 2048, group: 5120, role: 10_240 };

export const policiesPerAccountMax = 1500;
export const versionsPerPolicyMax = 5;
export const managedPolicyCharactersMax = 6144;
export const trustPolicyCharactersMax = 2048;
export const accessKeysPerUserMax = 2;
export const groupsPerUserMax = 10;
export const tagsPerResourceMax = 50;
/** Characters of a session policy, as sent. Source: STS API reference, AssumeRole. */
export const sessionPolicyCharactersMax = 2048;
export const sessionPolicyArnsMax = 10;
