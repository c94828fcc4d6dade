// A host with a switch of tsnet's for the tests about VLANs, whichever switch it is.
import type { Datapath } from "../../src/cnm/datapath.ts";
import type { Backend, DatapathType } from "../../src/cnm/network.ts";
import type { NetNamespace } from "./namespace.ts";

/** A host that ends when it is disposed of. */
export interface VlanHost extends AsyncDisposable {
  readonly backend: Backend;
  readonly datapathType: DatapathType;
  readonly namespace: NetNamespace;
  /** tsnet's, at work in that namespace. */
  readonly datapath: Datapath;
}

/** An emulated processor (support/vm.ts) needs longer. */
export const PATIENCE = process.env["TSNET_VM"] === "tcg" ? 10 : 1;
