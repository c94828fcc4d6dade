// Bundles src/main.ts into dist/: tsnet.js, which holds everything written in JavaScript, its source map, and koffi.node,
// the one part that is machine code. dist/ needs no node_modules and runs from any folder; another one may be named
// instead: `node plugin/bundle.ts FOLDER`.
//
// The script is CommonJS: an ES module loads every built-in module it names before its first line runs, and an older
// Node would stop there (`node:sqlite`) instead of in the banner. So src/ has no top-level `await`. For the same reason
// the syntax is lowered to what an older Node can read.
//
// Every file is made in a folder beside and then renamed into its place: a daemon that runs from dist/ has the old
// koffi.node mapped, and would die of SIGSEGV if its bytes changed.
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Plugin, build as bundle } from "esbuild";

const root = join(import.meta.dirname, "..");
const dist = resolve(process.argv[2] ?? join(root, "dist"));
const nodeMajor = 24;

/**
 * A daemon waits most of its life: its heap stays small, and what it has freed goes back to the host (mallopt(3)), for 7 % of its
 * speed. config.json starts it the same way.
 */
const MALLOC = "MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=65536 MALLOC_TRIM_THRESHOLD_=131072";
const NODE = "node --max-semi-space-size=1 --optimize-for-size";

const banner = `#!/usr/bin/env -S ${MALLOC} ${NODE}
if (parseInt(process.versions.node, 10) < ${nodeMajor}) {
  console.error(\`tsnet needs Node.js ${nodeMajor} or newer, this is \${process.version} (\${process.execPath}); "npm run tsnet -- COMMAND" uses the right one\`);
  process.exit(1);
}`;

/** Of dockerode's dependencies. */
const LEFT_OUT = ["ssh2", "@grpc/grpc-js", "@grpc/proto-loader", "protobufjs"];

const koffiAddon = join(root, "node_modules/@koromix", `koffi-linux-${process.arch}/linux_${process.arch}/koffi.node`);

/** The index of prom-client names parts that tsnet never touches, three quarters of it: reading them takes 5 ms of each start. */
const WITHOUT_UNUSED: Plugin = {
  name: "without unused parts of prom-client",
  setup(build) {
    const unused = /^\.\/lib\/(summary|pushgateway|defaultMetrics|metricAggregators|cluster)$/;
    const index = join(root, "node_modules/prom-client/index.js");
    build.onResolve({ filter: unused }, ({ importer, path }) =>
      importer === index ? { path, namespace: "unused" } : undefined,
    );
    build.onLoad({ filter: /./, namespace: "unused" }, () => ({ contents: "" }));
  },
};

mkdirSync(dist, { recursive: true });
const fresh = mkdtempSync(`${dist}.`);
try {
  await bundleInto(fresh);
  // The script last: it is what the others are for.
  const names = readdirSync(fresh).sort((a, b) => Number(a === "tsnet.js") - Number(b === "tsnet.js"));
  for (const name of names) renameSync(join(fresh, name), join(dist, name));
} finally {
  rmSync(fresh, { recursive: true });
}

async function bundleInto(folder: string): Promise<void> {
  await bundle({
    absWorkingDir: root,
    entryPoints: { tsnet: "src/main.ts" },
    outdir: folder,
    bundle: true,
    platform: "node",
    format: "cjs",
    target: "node18",
    banner: { js: banner },
    sourcemap: true,
    sourcesContent: false,
    define: { "import.meta.dirname": "__dirname", "import.meta.filename": "__filename" },
    // koffi's own loader looks for its addon in node_modules; this one copies it beside the script.
    alias: {
      koffi: "./node_modules/koffi/index.cjs",
      [`@koromix/koffi-linux-${process.arch}`]: koffiAddon,
      ...Object.fromEntries(LEFT_OUT.map((name) => [name, "./plugin/left-out.cjs"])),
    },
    loader: { ".node": "copy" },
    assetNames: "[name]",
    external: ["@koromix/koffi-*"],
    plugins: [WITHOUT_UNUSED],
    logLevel: "warning",
  });
  writeFileSync(join(folder, "package.json"), '{ "type": "commonjs" }\n');
  chmodSync(join(folder, "tsnet.js"), 0o755);
}
