// Where this machine gets Debian packages from, for fetching single packages of another Debian release without installing them.
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";

const FALLBACK = "http://deb.debian.org/debian";
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** The machine's own mirror of the Debian archive: `http://deb.debian.org/debian` if it names none. */
export async function findDebianMirror(): Promise<string> {
  const folder = "/etc/apt/sources.list.d";
  const names = await readdir(folder).catch(() => []);
  for (const path of ["/etc/apt/sources.list", ...names.map((name) => join(folder, name))]) {
    const text = await readFile(path, "utf8").catch(() => "");
    const found = /^(?:URIs:|deb(?: \[[^\]]*\])?)\s+(\S+\/debian\/?)(?:\s|$)/m.exec(text)?.[1];
    if (found !== undefined) return found;
  }
  return FALLBACK;
}

/** A sources file (deb822) for one release. @param suite - `trixie`, `sid`. */
export async function formatSources(suite: string): Promise<string> {
  const mirror = await findDebianMirror();
  return `Types: deb\nURIs: ${mirror}\nSuites: ${suite}\nComponents: main\nSigned-By: ${KEYRING}\n`;
}
