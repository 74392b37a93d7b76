/** Texts that others chose, without what would turn the direction of what stands beside them, or that nobody sees. */

/** Marks and overrides of direction, separators of lines, invisible characters; as the gateway's own `printable`. */
const HARMFUL =
  /[\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

/** Taken from the JSON as it comes, this holds for every name on every page. */
export function printable(text: string): string {
  return text.replace(HARMFUL, '');
}
