/** Who uses the deployment that pictures show: invented people, and clients as they name themselves. */

export interface Person {
  name: string;
  email: string;
  /** How often this one is the one, against the others. */
  weight: number;
}

export const PEOPLE: readonly Person[] = [
  { name: 'Maya Okafor', email: 'maya@acme.example', weight: 9 },
  { name: 'Jonas Lindqvist', email: 'jonas@acme.example', weight: 8 },
  { name: 'Priya Raman', email: 'priya@acme.example', weight: 7 },
  { name: 'Tomás Herrera', email: 'tomas@acme.example', weight: 5 },
  { name: 'Aiko Tanaka', email: 'aiko@acme.example', weight: 5 },
  { name: 'Lena Fischer', email: 'lena@acme.example', weight: 3 },
  { name: 'Sam Whitfield', email: 'sam@guest.example', weight: 2 },
];

export interface Product {
  /** As the product names itself in `clientInfo`. */
  name: string;
  /** As the gateway calls it. */
  type: string;
  versions: readonly string[];
  protocol: string;
  weight: number;
  /** Programs have no person behind them. */
  isProgram?: boolean;
}

export const PRODUCTS: readonly Product[] = [
  product('claude-code', 'Claude Code', ['2.1.14', '2.1.9'], 30),
  product('cursor-vscode', 'Cursor', ['1.8.2', '1.7.44'], 22),
  product('Visual Studio Code', 'VS Code', ['1.121.0'], 14),
  product('codex-mcp-client', 'Codex', ['0.98.0'], 11),
  product('claude-ai', 'Claude Desktop', ['0.14.10'], 9, '2025-06-18'),
  product('gemini-cli-mcp-client', 'Gemini', ['0.31.0'], 8),
  product('windsurf-client', 'Windsurf', ['1.13.5'], 6, '2025-06-18'),
  product('Zed', 'Zed', ['0.214.2'], 5),
  product('Cline', 'Cline', ['3.48.0'], 4),
  product('kiro', 'KiRo', ['0.9.1'], 3, '2025-06-18'),
  product('augment-vscode', 'Augment', ['0.611.0'], 3),
  product('mcp-inspector', 'Inspector', ['0.19.0'], 2),
  { ...product('nightly-report', 'nightly-report', ['3.2.0'], 4), isProgram: true },
];

function product(
  name: string,
  type: string,
  versions: readonly string[],
  weight: number,
  protocol = '2025-11-25',
): Product {
  return { name, type, versions, weight, protocol };
}
