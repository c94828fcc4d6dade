// Whether tsnet and the engine answer, know of one another, and have whole records.
import type { DiskRoom } from "../../api/health-route.ts";
import { VERSION } from "../../version.ts";
import { check } from "./check.ts";

const START = "docker plugin enable tsnet-plugin";
const ADVICE = "start it anew when the reason is gone: `docker plugin disable -f`, then `enable`; README, Records";

/** From when on a disk is nearly full: less than this is left, and less than a twentieth of it. */
const LITTLE_BYTES = 1 << 30;
const LITTLE_INODES = 10_000;
const LITTLE_SHARE = 0.05;

/** See the top of this file. */
export const TSNET_CHECKS = [
  check({
    id: "tsnet-away",
    severity: "error",
    meaning: "tsnet does not answer: containers go on, but none can be started on its networks",
    needs: ["faults"],
    look: ({ faults: { tsnet } }) => (tsnet === undefined ? [] : [{ object: "tsnet", detail: tsnet, mend: START }]),
  }),
  check({
    id: "tsnet-other-version",
    severity: "warning",
    meaning: "the daemon and this command are of different versions, and may not understand one another",
    needs: ["tsnet"],
    look: ({ tsnet: { version } }) => {
      const detail = `the daemon is ${version}, the command ${VERSION}`;
      const mend = "install the same version of both";
      return version === VERSION ? [] : [{ object: "tsnet", detail, mend }];
    },
  }),
  check({
    id: "tsnet-failing",
    severity: "error",
    meaning: "tsnet says of itself that nothing new can be made",
    needs: ["health"],
    look: ({ health: { status, reason } }) =>
      status === "ok" ? [] : [{ object: "tsnet", ...(reason !== undefined && { detail: reason }), mend: ADVICE }],
  }),
  check({
    id: "state-disk-full",
    severity: "warning",
    meaning: "the disk with tsnet's records is nearly full: soon no container can be started on its networks",
    needs: ["health"],
    look: ({ health: { disk } }) => {
      if (disk === undefined || !isNearlyFull(disk)) return [];
      const { directory: object, freeBytes, totalBytes, freeInodes, totalInodes } = disk;
      const detail = `free are ${mebibytes(freeBytes)} of ${mebibytes(totalBytes)} MiB, ${freeInodes} of ${totalInodes} inodes`;
      return [{ object, detail, mend: "make room on that disk; `docker system df` says what Docker has on its own" }];
    },
  }),
  check({
    id: "state-read-only",
    severity: "error",
    meaning: "the disk with tsnet's records is read-only: nothing can be made or removed",
    needs: ["health"],
    look: ({ health: { disk } }) => {
      const mend = "`dmesg` says why; then mount that disk anew: `mount -o remount,rw`";
      return disk?.isReadOnly === true ? [{ object: disk.directory, mend }] : [];
    },
  }),
  check({
    id: "record-damaged",
    severity: "error",
    meaning: "tsnet cannot read a record of its own",
    needs: ["tsnet"],
    look: ({ tsnet: { damage } }) =>
      damage.map((line) => ({ object: "records", detail: line, mend: "what the line above says; README, Records" })),
  }),
  check({
    id: "engine-away",
    severity: "error",
    meaning: "Docker does not answer: what it has and what tsnet has cannot be compared",
    needs: ["faults"],
    look: ({ faults: { engine } }) =>
      engine === undefined ? [] : [{ object: "Docker", detail: engine, mend: "systemctl start docker" }],
  }),
  check({
    id: "driver-unregistered",
    severity: "error",
    meaning: "Docker cannot find tsnet: no enabled plugin is called so, and no socket is where Docker looks for it",
    needs: ["tsnet", "engine", "files"],
    look: ({ engine: { plugins }, files: { driverFiles } }) => {
      const isPlugin = plugins.some(({ name, isEnabled }) => isEnabled && name.includes("tsnet"));
      const mend = "TSNET_SOCKET=/run/docker/plugins/tsnet.sock tsnet serve";
      return isPlugin || driverFiles.length > 0 ? [] : [{ object: "tsnet", mend }];
    },
  }),
];

function isNearlyFull({ freeBytes, totalBytes, freeInodes, totalInodes }: DiskRoom): boolean {
  const isShort = (free: number, total: number, little: number) => free < little && free < total * LITTLE_SHARE;
  return isShort(freeBytes, totalBytes, LITTLE_BYTES) || isShort(freeInodes, totalInodes, LITTLE_INODES);
}

function mebibytes(bytes: number): number {
  return Math.floor(bytes / 2 ** 20);
}
