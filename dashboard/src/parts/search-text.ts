/**
 * Reads what stands in the URL. Anything may stand there. What makes no sense becomes `undefined`, and must be there as
 * that: the router shows a page what its reader leaves out just as it stood in the URL.
 */

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
