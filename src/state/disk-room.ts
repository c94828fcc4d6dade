// How much room there is on the disk of the records.
import { constants } from "node:fs";
import { access, statfs } from "node:fs/promises";

/** See statfs(2). Inodes are 0 where the file system has no limit of them. */
export interface DiskRoom {
  readonly directory: string;
  readonly freeBytes: number;
  readonly totalBytes: number;
  readonly freeInodes: number;
  readonly totalInodes: number;
  readonly isReadOnly: boolean;
}

/** @returns undefined if the directory cannot be looked at. */
export async function readDiskRoom(directory: string): Promise<DiskRoom | undefined> {
  try {
    const { bavail, blocks, bsize, ffree, files } = await statfs(directory);
    return {
      directory,
      freeBytes: bavail * bsize,
      totalBytes: blocks * bsize,
      freeInodes: ffree,
      totalInodes: files,
      isReadOnly: await isReadOnly(directory),
    };
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
