import { describeSwitching } from "../../contract/datapath.ts";
import { FakeDatapath, type FakeLink } from "../../support/fake-datapath.ts";
import { switchingOf } from "./fake-switching.ts";

describeSwitching("the fake of the tests", async () => {
  const datapath = new FakeDatapath();
  const send = switchingOf(datapath);
  const change = (name: string, by: Partial<FakeLink>) => void Object.assign(datapath.links.get(name) ?? {}, by);
  return {
    backend: "bridge",
    datapath,
    canHairpin: true,
    send: async (...frame) => send(...frame),
    openPort: async (name) => change(name, { guard: { isIsolated: false } }),
    closePort: async (name) => change(name, { guard: { isIsolated: true, mac: "02:00:00:00:00:01" } }),
    deleteLink: async (name) => datapath.unplug(name),
    release: async (name) => void delete datapath.links.get(name)?.switchName,
  };
});
