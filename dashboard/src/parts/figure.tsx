/** One figure with its name, and what it means if that is not plain. */
import type { ReactNode } from 'react';
import './figure.css';

interface FigureProps {
  name: string;
  value: ReactNode;
  note?: ReactNode;
  tone?: 'bad' | 'warn' | undefined;
}

export function Figure({ name, value, note, tone }: FigureProps) {
  return (
    <div className="figure" data-tone={tone}>
      <dt className="figure-name">{name}</dt>
      <dd className="figure-value">{value}</dd>
      {note !== undefined && <dd className="figure-note">{note}</dd>}
    </div>
  );
}

/** Figures in a row that says one thing together. */
export function Figures({ label, children }: { label: string; children: ReactNode }) {
  return (
    <dl className="figures" aria-label={label}>
      {children}
    </dl>
  );
}

/** Facts one under the other: name left, value right. */
export function Facts({ children }: { children: ReactNode }) {
  return <dl className="facts">{children}</dl>;
}

export function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="fact">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
