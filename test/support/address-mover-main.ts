// Runs inside a namespace: moves the addresses of `nic0` to the bridge `br0` and back, called over standard input and
// output, one JSON object a line. Told to, it kills itself after a step.
import { createInterface } from "node:readline";
import {
  type AddressMove,
  type AddressMoveStep,
  moveAddresses,
  resumeMove,
  returnAddresses,
} from "../../src/datapath/uplink/address-move.ts";
import { messageOf } from "../../src/errors.ts";
import { L3Config } from "../../src/host/l3-config.ts";
import { L3Move } from "../../src/host/l3-move.ts";
import { Rtnetlink } from "../../src/host/rtnetlink.ts";
import { Sysctl } from "../../src/host/sysctl.ts";
import type { MoverRequest } from "./address-mover.ts";

const links = Rtnetlink.open();
const host = { links, sysctl: new Sysctl(), l3: L3Config.open() };

async function answer({ verb, move, killAfter, isPortBlocked }: MoverRequest): Promise<unknown> {
  const steps: AddressMoveStep[] = [];
  let stored: AddressMove | undefined;
  const nic = await links.requireLink("nic0");
  const progress = (step: AddressMoveStep) => {
    steps.push(step);
    if (step !== killAfter) return;
    process.stdout.write(`${JSON.stringify({ stored })}\n`, () => process.kill(process.pid, "SIGKILL"));
    return new Promise<void>(() => {}); // ends here
  };
  const calls = {
    progress,
    enslave: async () => {
      const masterIndex = (await links.requireLink("br0")).index;
      await links.setLink(nic.index, { masterIndex, isUp: true });
      if (isPortBlocked === true) await links.setLink(nic.index, { bridgePort: { isLocked: true } });
    },
    release: () => links.setLink(nic.index, { masterIndex: 0 }),
    store: async (record: AddressMove) => void (stored = record),
  };
  const begin = performance.now();
  const done = async () => {
    if (verb === "move") return moveAddresses(host, "nic0", "br0", calls);
    if (verb === "enslave last") return enslaveLast(calls.enslave);
    if (move === undefined) throw new Error("no record");
    return verb === "return" ? returnAddresses(host, move, calls) : resumeMove(host, move, calls);
  };
  const outcome = await done().then(
    (result) => ({ result }),
    (failure: unknown) => ({ message: messageOf(failure) }),
  );
  return { ...outcome, steps, stored, elapsedMs: performance.now() - begin };
}

/** The order that was decided against: routes lead to the switch before the NIC is in it. */
async function enslaveLast(enslave: () => Promise<void>): Promise<void> {
  const [source, target] = [await links.requireLink("nic0"), await links.requireLink("br0")];
  await links.setLink(target.index, { mac: source.mac });
  const there = new L3Move(host.l3, await host.l3.snapshot(source), { source, target });
  await there.prepare();
  await there.switchOver();
  await enslave();
  await there.finish();
}

createInterface({ input: process.stdin }).on("line", (line) => {
  void answer(JSON.parse(line) as MoverRequest)
    .catch((failure: unknown) => ({ message: messageOf(failure) }))
    .then((reply) => process.stdout.write(`${JSON.stringify(reply)}\n`));
});
process.stdout.write("{}\n");
