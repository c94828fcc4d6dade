// Loaded into the daemon before its own code (`node --expose-gc --import`): on SIGUSR2 collects all garbage and writes to
// a file in its folder for temporary files how many bytes are in use after it.
import { renameSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const file = join(tmpdir(), "memory");

process.on("SIGUSR2", () => {
  for (let round = 0; round < 3; round++) globalThis.gc?.(); // what a finalizer lets go falls in the next round
  const { heapUsed, external, rss } = process.memoryUsage();
  writeFileSync(`${file}.new`, JSON.stringify({ usedBytes: heapUsed + external, rssBytes: rss }));
  renameSync(`${file}.new`, file);
});
