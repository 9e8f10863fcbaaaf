/** The same as in package.json, which is not part of the executable. */
export const VERSION = "0.1.0";
