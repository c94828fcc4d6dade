// Packages of a Debian release, unpacked into a folder and not installed: programs for the labs that the machine itself does
// not have, or has in another version. Once per machine; safe to call from several runs at once.
import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { formatSources } from "./apt-sources.ts";
import { onProcessEnd } from "./lab-cleanup.ts";

/** What to fetch. */
export interface WantedPackages {
  readonly suite: string;
  /** These themselves, as they run with what the machine or `complete` has. */
  readonly alone: readonly string[];
  /** These with all that they depend on, down to the C library: the folder can be a root then. */
  readonly complete?: readonly string[];
}

/**
 * Fetches and unpacks, unless the folder exists: beside it, and renames, so that another run sees all of it or nothing.
 *
 * @param what - for the people who wait.
 * @param finish - what is still to be done or checked in the unpacked folder, whose path it gets.
 * @throws Error when apt-get or dpkg fails, or `finish` throws.
 */
export async function provideUnpacked(
  root: string,
  what: string,
  wanted: WantedPackages,
  finish: (unpacked: string) => Promise<unknown>,
): Promise<void> {
  if (existsSync(root)) return;
  const work = `${root}.${process.pid}`;
  console.error(`fetching ${what} (packages of Debian ${wanted.suite}, unpacked below ${root})`);
  const forget = onProcessEnd(() => rmSync(work, { recursive: true, force: true }));
  try {
    await fetchInto(work, wanted);
    const debs = (await readdir(join(work, "debs"))).filter((name) => name.endsWith(".deb"));
    for (const deb of debs)
      await execa("dpkg", ["-x", join(work, "debs", deb), join(work, "root")], { timeout: 120_000 });
    await finish(join(work, "root"));
    await rename(join(work, "root"), root).catch((failure: unknown) => {
      if (!existsSync(root)) throw failure; // else another run was first: its copy is as good
    });
  } finally {
    forget();
    await rm(work, { recursive: true, force: true });
  }
}

async function fetchInto(work: string, { suite, alone, complete = [] }: WantedPackages): Promise<void> {
  const apt = await prepareApt(work, suite);
  await apt("update");
  if (complete.length > 0) await apt("install", "--yes", "--download-only", "--no-install-recommends", ...complete);
  for (const name of alone) await apt("download", name);
}

/** An apt of its own: its package lists and downloads lie in `work`, the machine's stay as they are. It knows of no package installed. */
async function prepareApt(work: string, suite: string): Promise<(...args: string[]) => Promise<void>> {
  for (const folder of ["parts", "lists/partial", "debs/partial", "root"])
    await mkdir(join(work, folder), { recursive: true });
  await writeFile(join(work, "parts/one.sources"), await formatSources(suite));
  await writeFile(join(work, "status"), "");
  const options = {
    "Dir::Etc::sourcelist": "/nonexistent",
    "Dir::Etc::sourceparts": join(work, "parts"),
    "Dir::State::Lists": join(work, "lists"),
    "Dir::State::status": join(work, "status"),
    "Dir::Cache::archives": join(work, "debs"),
    "Dir::Cache::pkgcache": "",
    "Dir::Cache::srcpkgcache": "",
    "pkgCacheGen::Essential": "none",
    "APT::Sandbox::User": "root",
    "Acquire::Retries": "3",
  };
  const flags = Object.entries(options).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
  return async (...args) => {
    await execa("apt-get", ["-qq", ...flags, ...args], { cwd: join(work, "debs"), timeout: 300_000, stdin: "ignore" });
  };
}
