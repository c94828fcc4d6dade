// `npm run faults:write`: writes the README's tables of faults and attacks anew, from the catalogue and the titles of the tests.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { findGaps, readmeWithTables } from "./table.ts";

writeFileSync(join(import.meta.dirname, "../../README.md"), readmeWithTables().wanted);
for (const gap of findGaps()) console.log(gap);
