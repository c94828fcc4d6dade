// What the tests of one run of the contract share.
import type { Network } from "../../../src/cnm/network.ts";
import type { DatapathHost, SeenLink, SwitchingHost } from "./host.ts";

/** Networks with the host's backend, as those of `cnm-builder.ts`. */
interface Networks {
  readonly network: (n?: number, more?: Partial<Network>) => Network;
  readonly dualStack: (n?: number, more?: Partial<Network>) => Network;
}

/** A run of the contract about links. */
export interface DatapathSuite extends Networks {
  /** That of the test which runs. */
  readonly host: DatapathHost;
  readonly link: (name: string) => Promise<SeenLink | undefined>;
  /** Asserts that the host looks the same after the work. */
  readonly unchangedBy: (work: () => Promise<unknown>) => Promise<void>;
}

/** A run of the contract about frames. */
export interface SwitchingSuite extends Networks {
  /** That of the test which runs. */
  readonly host: SwitchingHost;
}
