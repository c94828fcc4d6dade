// The version of tsnet, from package.json: read at run time from the sources, part of the script in the bundle.
import packageJson from "../package.json" with { type: "json" };

/** What `tsnet --version` prints, such as `0.1.0`. */
export const VERSION: string = packageJson.version;
