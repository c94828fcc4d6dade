import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readDiskRoom } from "../../../src/state/disk-room.ts";

describe("the room on a disk", () => {
  it("is that of the folder's file system, which can be written", async () => {
    const directory = mkdtempSync(join(tmpdir(), "tsnet-room-"));
    const { blocks, bsize, files } = statfsSync(directory);

    const room = await readDiskRoom(directory);

    expect(room).toMatchObject({ directory, totalBytes: blocks * bsize, totalInodes: files, isReadOnly: false });
    expect(room?.freeBytes).toBeGreaterThan(0);
    rmSync(directory, { recursive: true });
  });

  it("is not known of a folder that is not there", async () => {
    expect(await readDiskRoom("/nowhere/at/all")).toBeUndefined();
  });
});
