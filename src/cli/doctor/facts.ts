// All that `tsnet doctor` looks at, each read once and by itself: what cannot be read keeps only those checks away that need it.
import { messageOf } from "../../errors.ts";
import type { PoolsReply } from "../../api/pools-read.ts";
import type { HealthReply } from "../../api/health-route.ts";
import { type NamedNetwork, nameNetworks } from "../catalog.ts";
import type { EngineView } from "../docker.ts";
import type { Tools } from "../tools.ts";
import { type ContainerView, readContainers } from "./container-facts.ts";
import { type Files, type Route, readKernel, readRoutes } from "./host-facts.ts";
import { lackingPrograms } from "./host-programs.ts";
import { type HostLink, readLinks } from "../host-links.ts";
import { type OvsView, readOvs } from "./ovs-facts.ts";
import { type LegacyFilter, type Ruleset, readLegacy, readRules } from "./rules-facts.ts";
import { type ContainerWay, readWaysBack } from "./way-back.ts";
import { type TunnelPath, readTunnels } from "./tunnel-facts.ts";

/** The facts by name. */
export interface FactValues {
  /** Why nobody answers; absent when somebody does. */
  readonly faults: { readonly tsnet?: string; readonly engine?: string };
  readonly tsnet: {
    readonly version: string;
    readonly damage: readonly string[];
    readonly networks: readonly NamedNetwork[];
  };
  readonly health: HealthReply;
  readonly pools: PoolsReply;
  readonly engine: EngineView;
  readonly links: readonly HostLink[];
  readonly routes: readonly Route[];
  readonly files: Files;
  /** What the kernel cannot do, of what a network asks for. */
  readonly missing: readonly string[];
  /** Programs that commands need and that are not there. */
  readonly lacking: readonly string[];
  /** To containers, by links where rp_filter is strict. */
  readonly waysBack: readonly ContainerWay[];
  readonly rules: Ruleset;
  readonly legacy: readonly LegacyFilter[];
  readonly ovs: OvsView;
  readonly tunnels: readonly TunnelPath[];
  readonly containers: readonly ContainerView[];
}

export type FactName = keyof FactValues;

/** A fact, or why there is none. */
export type Reading<Value> = { readonly value: Value } | { readonly why: string };

/** All facts. */
export type Facts = { readonly [Name in FactName]: Reading<FactValues[Name]> };

/** Where facts come from, besides the tools of every command. */
export interface Sources {
  readonly readEngine: () => Promise<EngineView>;
  readonly readFiles: () => Promise<Files>;
  readonly readLegacyFilter: (family: 4 | 6) => LegacyFilter | undefined;
}

/** Reads all of them. Never rejects. */
export async function readFacts(tools: Tools, { readEngine, readFiles, readLegacyFilter }: Sources): Promise<Facts> {
  const { daemon, host } = tools;
  const [status, pools, health, engine, links, routes, files, rules, legacy] = await Promise.all([
    reading(() => daemon.read("/status")),
    reading(() => daemon.read("/pools")),
    reading(() => daemon.read("/healthz")),
    reading(() => readEngine()),
    reading(() => readLinks(host)),
    reading(() => readRoutes(host)),
    reading(() => readFiles()),
    reading(() => readRules(host)),
    reading(() => readLegacy(readLegacyFilter)),
  ]);
  const names = "value" in engine ? engine.value : { networks: [], places: [] };
  const tsnet = await reading(async () => {
    const { version, damage = [], networks, isComplete } = need(status);
    if (!isComplete) throw new Error("tsnet has more than fits one answer");
    return { version, damage, networks: nameNetworks(networks, names) };
  });
  const networks = "value" in tsnet ? tsnet.value.networks : [];
  const [missing, ovs] = await Promise.all([
    reading(async () => readKernel(host, need(tsnet).networks)),
    reading(() => readOvs(host, networks)),
  ]);
  const lacking = await reading(async () => lackingPrograms(need(files).programs, networks));
  const [tunnels, waysBack, containers] = await Promise.all([
    reading(async () => readTunnels(host, need(links), need(ovs))),
    reading(async () => readWaysBack(host, need(tsnet).networks, need(links), need(files).strictLinks)),
    reading(async () => {
      need(engine); // without it no container is known
      return readContainers(tools, need(tsnet).networks);
    }),
  ]);
  const faults = {
    ...("why" in status && { tsnet: status.why }),
    ...("why" in engine && { engine: engine.why }),
  };
  return {
    faults: { value: faults },
    tsnet,
    health,
    pools,
    engine,
    links,
    routes,
    files,
    missing,
    lacking,
    waysBack,
    rules,
    legacy,
    ovs,
    tunnels,
    containers,
  };
}

async function reading<Value>(read: () => Promise<Value>): Promise<Reading<Value>> {
  try {
    return { value: await read() };
  } catch (failure) {
    return { why: messageOf(failure) };
  }
}

/** Of what another fact is read. @throws Error with why there is none. */
function need<Value>(fact: Reading<Value>): Value {
  if ("why" in fact) throw new Error(fact.why);
  return fact.value;
}
