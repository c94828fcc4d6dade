// A plugin and image registry on a lab host's loopback: Debian's docker-registry. The engine speaks plain HTTP to it only
// under the name `localhost:5000`, not by number.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { LabHost } from "./lab-host.ts";
import { waitUntil } from "./wait-until.ts";

/** First part of every reference in it. */
export const REGISTRY = "localhost:5000";

/** Starts a registry inside; it ends with its lab. */
export async function startRegistry(lab: LabHost): Promise<void> {
  const config = join(lab.folder, "registry.yml");
  const storage = { filesystem: { rootdirectory: join(lab.folder, "registry") } };
  // JSON is YAML.
  await writeFile(config, JSON.stringify({ version: 0.1, storage, http: { addr: "127.0.0.1:5000" } }));
  await lab.namespace.spawn("registry", ["docker-registry", "serve", config]);
  await waitUntil("the registry to listen", async () => (await lab.exec(["ss", "-Htln"])).includes("127.0.0.1:5000"));
}
