/** A client's mark: two letters in the colour of a known product, so that a column can be scanned. */
import './client-mark.css';

interface Product {
  letters: string;
  /** Degrees on the colour wheel. */
  hue: number;
}

const PRODUCTS: Record<string, Product> = {
  'Claude Code': { letters: 'CC', hue: 20 },
  'Claude Desktop': { letters: 'CD', hue: 32 },
  Claude: { letters: 'Cl', hue: 26 },
  Cursor: { letters: 'Cu', hue: 260 },
  Windsurf: { letters: 'Ws', hue: 172 },
  Cline: { letters: 'Ci', hue: 300 },
  KiRo: { letters: 'Ki', hue: 280 },
  Augment: { letters: 'Au', hue: 130 },
  'Gemini CLI': { letters: 'Ge', hue: 222 },
  Gemini: { letters: 'Ge', hue: 222 },
  'VS Code': { letters: 'VS', hue: 206 },
  Codex: { letters: 'Cx', hue: 150 },
  Zed: { letters: 'Ze', hue: 240 },
  Inspector: { letters: 'In', hue: 50 },
};

export function ClientMark({ type }: { type: string }) {
  const product = PRODUCTS[type];
  if (!product) {
    return (
      <span className="client-mark" data-known="no" aria-hidden="true">
        {type === 'unknown-client' ? '?' : type.slice(0, 2)}
      </span>
    );
  }
  return (
    <span className="client-mark" data-known="yes" aria-hidden="true" style={{ '--hue': product.hue }}>
      {product.letters}
    </span>
  );
}
