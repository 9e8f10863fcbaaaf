/** Why a key that has a password is of no use. */
export const NO_PASSWORD = "an encrypted key, and no password for it";
export const WRONG_PASSWORD = "an encrypted key that none of the given passwords opens";

/** Whether a key that was skipped needs a password, or another one. */
export function isLocked(reason: string): boolean {
  return reason === NO_PASSWORD || reason === WRONG_PASSWORD;
}
