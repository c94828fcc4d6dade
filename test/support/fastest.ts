// A promised time, measured on a machine whose processes stand still for seconds now and then.
const TRIES = 3;

/**
 * Measures up to three times, until it took less than the limit.
 *
 * @param limitMs - what is promised.
 * @param measure - does what takes the time. @returns milliseconds.
 * @returns the shortest.
 */
export async function fastest(limitMs: number, measure: () => Promise<number>): Promise<number> {
  const took: number[] = [];
  while (took.length < TRIES && !took.some((ms) => ms < limitMs)) {
    took.push(await measure());
    if (took.length > 1) console.log(`measured again: ${took.map((ms) => ms.toFixed(0)).join(", ")} ms`);
  }
  return Math.min(...took);
}
