// How much room there is on the disk of the records.
import { constants } from "node:fs";
import { access, statfs } from "node:fs/promises";

/** What is known of it, see statfs(2). Inodes are 0 where the file system has no limit of them. */
export type DiskRoom = NonNullable<Awaited<ReturnType<typeof readDiskRoom>>>;

/** @returns undefined if the directory cannot be looked at. */
export async function readDiskRoom(directory: string) {
  try {
    const { bavail, blocks, bsize, ffree: freeInodes, files: totalInodes } = await statfs(directory);
    const [freeBytes, totalBytes] = [bavail * bsize, blocks * bsize];
    return { directory, freeBytes, totalBytes, freeInodes, totalInodes, isReadOnly: await isReadOnly(directory) };
  } catch {
    return undefined;
  }
}

/** Root may write everything else. */
async function isReadOnly(directory: string): Promise<boolean> {
  try {
    await access(directory, constants.W_OK);
    return false;
  } catch (failure) {
    return failure instanceof Error && "code" in failure && failure.code === "EROFS";
  }
}
