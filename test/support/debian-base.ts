// A Debian base image for `docker build` without a registry: debootstrap's smallest variant with the packages that the
// Dockerfile wants, packed once per machine beside the engines (about a minute).
import { existsSync, rmSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { findDebianMirror } from "./apt-sources.ts";
import { onProcessEnd } from "./lab-cleanup.ts";

const SUITE = "bookworm";
const PACKAGES = ["iproute2", "nftables", "util-linux", "binutils"];

/** @returns the path of a root file system for `docker import`. @throws ExecaError when debootstrap fails. */
export async function provideDebianBase(): Promise<string> {
  const tar = join(process.env["TSNET_ENGINES"] ?? "/var/cache/tsnet-engines", `debian-${SUITE}-1.tar`);
  if (!existsSync(tar)) await pack(tar);
  return tar;
}

async function pack(tar: string): Promise<void> {
  await mkdir(dirname(tar), { recursive: true });
  const root = `${tar}.${process.pid}`;
  const forget = onProcessEnd(() => rmSync(root, { recursive: true, force: true }));
  console.error(`making a Debian base image (debootstrap ${SUITE}), kept in ${tar}`);
  try {
    const options = ["--variant=minbase", `--include=${PACKAGES.join(",")}`];
    const settings = { stdin: "ignore", timeout: 600_000 } as const;
    await execa("debootstrap", [...options, SUITE, root, await findDebianMirror()], settings);
    const waste = ["./var/cache/apt/archives/*.deb", "./var/lib/apt/lists/*", "./dev/*"];
    const exclude = waste.map((pattern) => `--exclude=${pattern}`);
    await execa("tar", ["-C", root, ...exclude, "-cf", `${root}.tar`, "."], settings);
    await rename(`${root}.tar`, tar);
  } finally {
    forget();
    await rm(root, { recursive: true, force: true });
    await rm(`${root}.tar`, { force: true });
  }
}
