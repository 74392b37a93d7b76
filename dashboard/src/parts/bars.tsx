/** Shares of a whole as bars, with their figures: read like a table, seen like a chart. */
import type { ReactNode } from 'react';
import { percent, whole } from '@/format/numbers';
import './bars.css';

export interface Bar {
  name: string;
  /** What stands for the name where that is more than a text. */
  shown?: ReactNode;
  count: number;
  /** The figure as it is shown, where that is not the count. */
  figure?: string;
  tone?: 'warn' | 'bad' | undefined;
  note?: string;
}

export function Bars({ label, bars, of }: { label: string; bars: readonly Bar[]; of?: number }) {
  const total = bars.reduce((sum, bar) => sum + bar.count, 0);
  const full = of ?? Math.max(1, ...bars.map((bar) => bar.count));
  return (
    <ul className="bars" aria-label={label}>
      {bars.map((bar) => (
        <li key={bar.name} className="bar" data-tone={bar.tone}>
          <span className="bar-name cut" title={bar.note}>
            {bar.shown ?? bar.name}
            {bar.note && <span className="quiet"> {bar.note}</span>}
          </span>
          <span className="bar-figures">
            {bar.figure ?? whole(bar.count)}
            <span className="quiet bar-share">
              {total === 0 ? '' : percent((100 * bar.count) / total, 0)}
            </span>
          </span>
          <span className="bar-track" aria-hidden="true">
            <span
              className="bar-fill"
              style={{ '--share': `${(100 * bar.count) / Math.max(1e-9, full)}%` }}
            />
          </span>
        </li>
      ))}
    </ul>
  );
}
