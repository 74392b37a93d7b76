/** Reads what stands in the URL. Anything may stand there: what makes no sense is left out. */

export type RawSearch = Record<string, unknown>;

/** Longer ones are refused by the API. */
const TEXT_MAX = 200;

export function textOf(value: unknown): string | undefined {
  // The router reads `q=42` as a number.
  const text = typeof value === 'number' ? String(value) : value;
  return typeof text === 'string' && text !== '' ? text.slice(0, TEXT_MAX) : undefined;
}

export function oneOf<const Choice extends string>(
  value: unknown,
  choices: readonly Choice[],
): Choice | undefined {
  return choices.find((choice) => choice === value);
}

/** Leaves out what is not set, so that URLs say only what was chosen. */
export function present<Search extends Record<string, unknown>>(search: Search): Partial<Search> {
  return Object.fromEntries(
    Object.entries(search).filter(([, value]) => value !== undefined),
  ) as Partial<Search>;
}
