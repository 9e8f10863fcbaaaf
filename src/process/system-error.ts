import { getSystemErrorName } from "node:util";

/** Makes a system error from its negative number, in which another thread reports it. */
export function systemError(errno: number): Error {
  const code = getSystemErrorName(errno);
  return Object.assign(new Error(code), { code });
}
