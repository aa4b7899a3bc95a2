/**
 * What users have on AWS beside access keys, and nobody has here: passwords, MFA devices, signing certificates, SSH keys, credentials of single services. Clients
 * look for all of it before they delete a user, and are told the truth: there is none. Source: IAM API reference, DeleteUser and the operations themselves.
 */
import type { Call, Handler } from '../../feature.ts';
import { getEntity } from './entity.ts';
import { noSuch, notAUser } from './faults.ts';

/** The user that is named, or the caller; undefined for the root, which is none. Faults: NoSuchEntityException, InvalidRequestException. */
const nameOf = async ({ db, account, caller }: Call, userName: string | undefined): Promise<string | undefined> => {
  if (userName === undefined && caller.iam?.kind === 'root') return undefined;
  const name = userName ?? (caller.iam?.kind === 'user' ? caller.iam.userName : undefined);
  if (name === undefined) throw notAUser();
  return (await getEntity(db, account.accountId, 'user', name)).name;
};

const none = { IsTruncated: false } as const;

/** Faults: NoSuchEntityException, InvalidRequestException (a session of a role that names no user). */
export const listMFADevices: Handler<'ListMFADevices', 'iam'> = async (input, call) => {
  await nameOf(call, input.UserName);
  return { MFADevices: [], ...none };
};

export const listVirtualMFADevices: Handler<'ListVirtualMFADevices', 'iam'> = async () => ({
  VirtualMFADevices: [],
  ...none,
});

/** Faults: NoSuchEntityException, InvalidRequestException. */
export const listSigningCertificates: Handler<'ListSigningCertificates', 'iam'> = async (input, call) => {
  await nameOf(call, input.UserName);
  return { Certificates: [], ...none };
};

/** Faults: NoSuchEntityException, InvalidRequestException. */
export const listSSHPublicKeys: Handler<'ListSSHPublicKeys', 'iam'> = async (input, call) => {
  await nameOf(call, input.UserName);
  return { SSHPublicKeys: [], ...none };
};

/** Faults: NoSuchEntityException, InvalidRequestException. */
export const listServiceSpecificCredentials: Handler<'ListServiceSpecificCredentials', 'iam'> = async (input, call) => {
  if (input.AllUsers !== true) await nameOf(call, input.UserName);
  return { ServiceSpecificCredentials: [], ...none };
};

/** Faults: NoSuchEntityException, always: of the user or of its password. InvalidRequestException for the root. */
const noPassword = async (call: Call, userName: string | undefined): Promise<never> => {
  const name = await nameOf(call, userName);
  if (name === undefined) throw notAUser();
  throw noSuch(`Login Profile for User ${name} cannot be found.`);
};

export const getLoginProfile: Handler<'GetLoginProfile', 'iam'> = (input, call) => noPassword(call, input.UserName);

export const deleteLoginProfile: Handler<'DeleteLoginProfile', 'iam'> = (input, call) =>
  noPassword(call, input.UserName);
