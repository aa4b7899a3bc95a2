/** Waits of stories: whatever one waits for comes within this, or never. */
export const waitMsMax = 10_000;

/** The wanted, or a rejection that names it when it does not come in time. */
export const within = async <T>(wanted: Promise<T>, what: string): Promise<T> => {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`${what} did not come within ${waitMsMax} ms`)), waitMsMax);
  try {
    return await Promise.race([wanted, late.promise]);
  } finally {
    clearTimeout(timer);
  }
};
