// Writes how each test went, for `suite-count.ts`, to the file that the variable names. vitest's own JSON says nothing of what
// goes wrong outside a test: in a hook, in a file that does not load, in a worker that dies.
import { writeFileSync } from "node:fs";
import type { Reporter, SerializedError, TestModule } from "vitest/node";

/** Names the file. */
export const REPORT_VARIABLE = "TSNET_REPORT";

/** How one test went. */
export interface ReportedTest {
  /** With those of its `describe`s. */
  readonly title: string;
  readonly state: "passed" | "failed" | "skipped" | "pending";
  readonly errors: readonly string[];
  /** Why it may be skipped. */
  readonly skipReason?: string;
}

/** What went wrong outside the tests. */
export interface ReportedFault {
  /** The file, with the `describe` if it happened in one. */
  readonly place: string;
  readonly errors: readonly string[];
}

/** What is written, as JSON. */
export interface Report {
  readonly tests: readonly ReportedTest[];
  readonly faults: readonly ReportedFault[];
}

/** The reporter. @param path - of the file. */
export class SuiteReport implements Reporter {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const faults = modules.flatMap(faultsOf);
    const others = unhandled.length === 0 ? [] : [{ place: "outside all files", errors: unhandled.map(told) }];
    const report: Report = { tests: modules.flatMap(testsOf), faults: [...faults, ...others] };
    writeFileSync(this.#path, JSON.stringify(report));
  }
}

function testsOf(module: TestModule): readonly ReportedTest[] {
  return Array.from(module.children.allTests(), (test) => {
    const { state, errors = [] } = test.result();
    const { skipReason } = test.meta();
    return {
      title: test.fullName,
      state,
      errors: errors.map(told),
      ...(skipReason === undefined ? {} : { skipReason }),
    };
  });
}

function faultsOf(module: TestModule): readonly ReportedFault[] {
  const suites = Array.from(module.children.allSuites(), (suite) => ({
    place: `${module.relativeModuleId}: ${suite.fullName}`,
    errors: suite.errors().map(told),
  }));
  const faults = [{ place: module.relativeModuleId, errors: module.errors().map(told) }, ...suites];
  const named = faults.filter(({ errors }) => errors.length > 0);
  const hasEnded = ["passed", "failed", "skipped"].includes(module.state());
  return hasEnded ? named : [...named, { place: module.relativeModuleId, errors: ["did not end: its worker is gone"] }];
}

function told({ stack, message, cause }: SerializedError): string {
  const own = stack ?? message;
  return cause === undefined ? own : `${told(cause)}\n${own}`;
}
