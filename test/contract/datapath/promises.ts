// Promises of a contract as tests: an implementation may refuse some, with reasons.
import { expect, it } from "vitest";

/** Titles of promises that an implementation does not keep, each with its reason. */
export type Refused = Readonly<Record<string, string>>;

/** As `it`, with the title of a promise. */
export type Promised = (title: string, test: () => Promise<void>) => void;

/** Registers promises; those that are refused are skipped with their reason. */
export function promises(refused: Refused) {
  const promised = new Set<string>();
  const promise: Promised = (title, test) => {
    promised.add(title);
    const reason = refused[title];
    if (reason === undefined) it(title, test);
    else it.skip(`${title} (${reason})`, test);
  };
  const checkRefused = (): void => {
    it("refuses only promises that there are", () => {
      expect(Object.keys(refused).filter((title) => !promised.has(title))).toEqual([]);
    });
  };
  return { promise, checkRefused };
}
