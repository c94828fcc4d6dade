// The container image of the tests, made here so that no registry is needed: Debian's static busybox with a link for each
// of its programs (ping, ping6, nc, ip, wget, httpd, ...), and a server for TCP and UDP (publish-server.ts). Packed once per
// machine for `docker load`, because `docker import` cannot set a stop signal and pid 1 ignores SIGTERM: every `docker stop`
// would take ten seconds.
//
//   <tmp>/tsnet-test-image-<version>.tar: manifest.json, config.json, layer.tar  (docker image spec v1.2, "combined image JSON")
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { installServer } from "./publish-server.ts";

/** Name of the image inside a lab. Its command is an endless sleep; `docker stop` ends it at once. */
export const TEST_IMAGE = "tsnet-test:latest";

const BUSYBOX = "/bin/busybox";
/** Raise it when the content changes, or machines keep the old file. */
const EDITION = 2;

/** @returns the path of the packed image, for `docker load`. */
export async function provideImageTar(): Promise<string> {
  const { stdout } = await execa("dpkg-query", ["-W", "-f", "${Version}", "busybox-static"]);
  const version = stdout.replaceAll(/[^a-zA-Z0-9.]/g, "_");
  const tar = join(tmpdir(), `tsnet-test-image-${version}-${EDITION}.tar`);
  if (!existsSync(tar)) await pack(tar);
  return tar;
}

async function pack(tar: string): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), "tsnet-image-"));
  try {
    await mkdir(join(work, "root"));
    await mkdir(join(work, "image"));
    await fillRoot(join(work, "root"));
    await archive(join(work, "root"), join(work, "image/layer.tar"));
    await describe(join(work, "image"));
    await archive(join(work, "image"), `${tar}.${process.pid}`);
    await rename(`${tar}.${process.pid}`, tar); // whole or not at all, also with two runs at once
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function fillRoot(root: string): Promise<void> {
  for (const folder of ["bin", "etc", "proc", "sys", "dev", "tmp", "www"]) await mkdir(join(root, folder));
  await copyFile(BUSYBOX, join(root, "bin/busybox"));
  const { stdout } = await execa(BUSYBOX, ["--list"]);
  const names = stdout.split("\n").filter((name) => name !== "" && name !== "busybox");
  for (const name of names) await symlink("busybox", join(root, "bin", name));
  await writeFile(join(root, "etc/passwd"), "root:x:0:0:root:/:/bin/sh\n");
  await writeFile(join(root, "etc/group"), "root:x:0:\n");
  await writeFile(join(root, "www/index.html"), "tsnet test\n");
  await installServer(root);
}

async function describe(image: string): Promise<void> {
  const digest = createHash("sha256")
    .update(await readFile(join(image, "layer.tar")))
    .digest("hex");
  const config = {
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    created: "2026-01-01T00:00:00Z",
    config: { Cmd: ["sleep", "infinity"], Env: ["PATH=/bin"], WorkingDir: "/", StopSignal: "SIGKILL" },
    rootfs: { type: "layers", diff_ids: [`sha256:${digest}`] },
    history: [{ created: "2026-01-01T00:00:00Z", comment: "tsnet tests" }],
  };
  const manifest = [{ Config: "config.json", RepoTags: [TEST_IMAGE], Layers: ["layer.tar"] }];
  await writeFile(join(image, "config.json"), JSON.stringify(config));
  await writeFile(join(image, "manifest.json"), JSON.stringify(manifest));
}

async function archive(folder: string, tar: string): Promise<void> {
  await execa("tar", ["-C", folder, "--owner=0", "--group=0", "-cf", tar, "."]);
}
