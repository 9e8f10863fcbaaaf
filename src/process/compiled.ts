/** Whether this code lies in the executable: Bun keeps it below /$bunfs/, on Windows below B:/~BUN/. */
export const IS_COMPILED = import.meta.url.includes("/$bunfs/") || import.meta.url.includes("/~BUN/");
