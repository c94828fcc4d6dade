// What every Datapath promises; run by each implementation and by the fake. The promises are in `datapath/`, by what they are
// about.
import { beforeEach, describe, expect } from "vitest";
import type { Backend } from "../../src/cnm/network.ts";
import { dualStack, network } from "../support/cnm-builder.ts";
import { describeEndpoints } from "./datapath/endpoints.ts";
import { describeFrames } from "./datapath/frames.ts";
import type { DatapathHost, SwitchingHost } from "./datapath/host.ts";
import { describeNetworks } from "./datapath/networks.ts";
import { describeQuestions } from "./datapath/questions.ts";
import type { DatapathSuite, SwitchingSuite } from "./datapath/suite.ts";

/** @param makeHost - called once a test; what it needs to be disposed of is the caller's business. */
export function describeDatapath(name: string, makeHost: () => Promise<DatapathHost>): void {
  let host: DatapathHost;
  const suite: DatapathSuite = {
    get host() {
      return host;
    },
    ...networksOf(() => host.backend),
    link: async (of) => (await host.see()).get(of),
    unchangedBy: async (work) => {
      const before = await host.see();
      await work();
      expect(await host.see()).toEqual(before);
    },
  };

  describe(`Datapath: ${name}`, () => {
    beforeEach(async () => {
      host = await makeHost();
    });

    describeNetworks(suite);
    describeEndpoints(suite);
    describeQuestions(suite);
  });
}

/** What a Datapath promises about the frames that pass its ports. @param makeHost - as for `describeDatapath`. */
export function describeSwitching(name: string, makeHost: () => Promise<SwitchingHost>): void {
  let host: SwitchingHost;
  const suite: SwitchingSuite = {
    get host() {
      return host;
    },
    ...networksOf(() => host.backend),
  };

  describe(`Switching: ${name}`, () => {
    beforeEach(async () => {
      host = await makeHost();
    });

    describeFrames(suite);
  });
}

function networksOf(backend: () => Backend): Pick<DatapathSuite, "network" | "dualStack"> {
  return {
    network: (n, more) => network(n, { backend: backend(), ...more }),
    dualStack: (n, more) => dualStack(n, { backend: backend(), ...more }),
  };
}
