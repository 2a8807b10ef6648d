/** The devDependencies that the built service imports. */
export const packages: readonly string[];
