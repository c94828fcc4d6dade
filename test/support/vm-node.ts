// What Node.js does otherwise in the virtual machine of the tests, loaded by NODE_OPTIONS into every process there, as a script
// that vm-programs.ts has made. The programs that it has bundled are taken as they are: to read a hundred files and strip
// them of their types, each process anew, takes ten seconds on an emulated processor.
//
// What still runs as WebAssembly stays as it was compiled first. Where a hot function changes to better code, V8 walks the
// stack of the old one, and on emulated processors now and then finds that code gone and ends the process (`Check failed:
// it->second.Size() > offset` below Runtime_WasmTriggerTierUp): Node.js strips types in WebAssembly.
import { existsSync, readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";

/** Where vm-programs.ts put this script, and below it each bundle under its program's whole path. */
declare const __dirname: string;

setFlagsFromString("--no-wasm-tier-up");
setFlagsFromString("--no-wasm-dynamic-tiering"); // follows from the other one only on the command line

registerHooks({
  load(url, context, nextLoad) {
    if (!url.startsWith("file:") || !url.endsWith(".ts")) return nextLoad(url, context);
    const bundle = join(__dirname, `${fileURLToPath(url)}.mjs`);
    if (!existsSync(bundle)) return nextLoad(url, context);
    return { format: "module", source: readFileSync(bundle), shortCircuit: true };
  },
});
