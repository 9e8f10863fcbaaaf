/** Makes a system error from its negative number, in which another thread reports it. Only then does it load node:util. */
export function systemError(errno: number): Error {
  const code = process.getBuiltinModule("node:util").getSystemErrorName(errno);
  return Object.assign(new Error(code), { code });
}
