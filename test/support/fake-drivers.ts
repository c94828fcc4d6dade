// The two drivers as the wire tests need them: they write down what they were asked and answer at once, unless a test
// puts another method in their place.
import type { OperatorDriver } from "../../src/cnm/operator.ts";
import type { CnmDriver } from "../../src/cnm/requests.ts";
import type { IpamDriver } from "../../src/ipam/requests.ts";

/** One call that reached a driver. */
export interface SeenCall {
  readonly method: string;
  readonly request: unknown;
}

/** Both drivers and the list of what reached them. */
export interface FakeDrivers {
  readonly cnm: CnmDriver;
  readonly ipam: IpamDriver;
  readonly operator: OperatorDriver;
  readonly seen: SeenCall[];
}

/** MAC that the fake hands out. */
export const FAKE_MAC = "02:42:0a:32:02:4d";

/** @param cnm - methods that replace those of the fake. */
export function fakeDrivers(cnm: Partial<CnmDriver> = {}, ipam: Partial<IpamDriver> = {}): FakeDrivers {
  const seen: SeenCall[] = [];
  const note = (method: string, request: unknown) => void seen.push({ method, request });
  return {
    seen,
    cnm: { ...fakeCnm(note), ...cnm },
    ipam: { ...fakeIpam(note), ...ipam },
    operator: fakeOperator(note),
  };
}

type Note = (method: string, request: unknown) => void;

function fakeCnm(note: Note): CnmDriver {
  return {
    checkGatewayAllocation: (request) => {
      note("checkGatewayAllocation", request);
      return { skipIpv4: request.isInternal, skipIpv6: false };
    },
    createNetwork: async (request) => note("createNetwork", request),
    deleteNetwork: async (networkId) => note("deleteNetwork", networkId),
    createEndpoint: async (request) => {
      note("createEndpoint", request);
      return { mac: FAKE_MAC };
    },
    deleteEndpoint: async (ref) => note("deleteEndpoint", ref),
    join: async (request) => {
      note("join", request);
      return {
        sourceName: "tsn-0123456789a",
        destinationPrefix: "eth",
        gateway: "10.50.2.1",
        gatewayIpv6: "fd50:2::1",
        routes: [{ destination: "10.0.0.0/8", via: "10.50.2.254" }],
        isGatewayServiceDisabled: false,
      };
    },
    leave: async (ref) => note("leave", ref),
    programExternalConnectivity: async (request) => note("programExternalConnectivity", request),
    revokeExternalConnectivity: async (ref) => note("revokeExternalConnectivity", ref),
    describeEndpoint: (ref) => {
      note("describeEndpoint", ref);
      return undefined;
    },
    describe: () => {
      note("describe", undefined);
      return { networks: [], isComplete: true };
    },
  };
}

function fakeIpam(note: Note): IpamDriver {
  return {
    noteHandshake: () => note("noteHandshake", undefined),
    usage: () => [],
    addressSpaces: { local: "tsnet-local", global: "tsnet-global" },
    requestPool: async (request) => {
      note("requestPool", request);
      return { poolId: "tsnet-local/10.210.0.0/24", subnet: "10.210.0.0/24" };
    },
    releasePool: async (poolId) => note("releasePool", poolId),
    requestAddress: async (request) => {
      note("requestAddress", request);
      return "10.210.0.2/24";
    },
    releaseAddress: async (poolId, address) => note("releaseAddress", { poolId, address }),
    describe: () => {
      note("describe", undefined);
      return { pools: [], isComplete: true };
    },
  };
}

function fakeOperator(note: Note): OperatorDriver {
  return {
    attachments: {
      attach: async (request) => {
        note("attach", request);
        return {
          wasAttached: false,
          linkName: "tsc0123456789ab",
          hostLink: "tsv0123456789ab",
          ifName: request.ifName,
          mac: FAKE_MAC,
          mtu: 1500,
          addresses: ["10.50.2.254/24"],
          gateways: [],
          routes: [{ destination: "10.0.0.0/8", via: "10.50.2.9" }, { destination: "10.50.2.1/32" }],
        };
      },
      detach: async (ref) => {
        note("detach", ref);
        return true;
      },
    },
    changes: {
      setNetwork: async (request) => {
        note("setNetwork", request);
        return { changes: [{ key: "vlan", from: "100", to: "200" }], inside: [] };
      },
      setEndpoint: async (request) => {
        note("setEndpoint", request);
        return { changes: [], inside: [] };
      },
      plan: async (request) => {
        note("plan", request);
        return { steps: ["make bridge br0 with mtu 1500"] };
      },
    },
    repair: {
      run: async (request) => {
        note("repair", request);
        return { done: ["tsv0 removed"], left: ["tsn-0 was not removed: it is in use"] };
      },
    },
  };
}
