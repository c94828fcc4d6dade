// Whether tsnet and the engine answer, know of one another, and have whole records.
import { VERSION } from "../../version.ts";
import { check } from "./check.ts";

const START = "docker plugin enable tsnet-plugin";
const ADVICE = "start it anew when the reason is gone: `docker plugin disable -f`, then `enable`; README, Records";

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
