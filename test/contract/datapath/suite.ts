// What the tests of one run of the contract share.
import type { DatapathHost, SeenLink, SwitchingHost } from "./host.ts";

/** A run of the contract about links. */
export interface DatapathSuite {
  /** That of the test which runs. */
  readonly host: DatapathHost;
  readonly link: (name: string) => Promise<SeenLink | undefined>;
  /** Asserts that the host looks the same after the work. */
  readonly unchangedBy: (work: () => Promise<unknown>) => Promise<void>;
}

/** A run of the contract about frames. */
export interface SwitchingSuite {
  /** That of the test which runs. */
  readonly host: SwitchingHost;
}
