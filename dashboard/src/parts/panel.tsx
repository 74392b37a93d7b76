/** A part of a page with its heading. */
import { type ReactNode, useId } from 'react';
import './panel.css';

interface PanelProps {
  title: string;
  /** What stands beside the heading: a note, or what one can choose. */
  aside?: ReactNode;
  /** Whether its content goes up to the edges, as tables do. */
  isFlush?: boolean;
  children: ReactNode;
}

export function Panel({ title, aside, isFlush = false, children }: PanelProps) {
  const heading = useId();
  return (
    <section className="panel" aria-labelledby={heading}>
      <header className="panel-head">
        <h2 id={heading}>{title}</h2>
        {aside !== undefined && <div className="panel-aside">{aside}</div>}
      </header>
      <div className="panel-body" data-flush={isFlush || undefined}>
        {children}
      </div>
    </section>
  );
}

/** Panels side by side where there is room. */
export function Panels({ children, isWide = false }: { children: ReactNode; isWide?: boolean }) {
  return (
    <div className="panels" data-wide={isWide || undefined}>
      {children}
    </div>
  );
}

interface PageHeadProps {
  /** The page's name, in the tab and in lists of tabs. */
  name: string;
  /** The same, where it is more than a text. */
  title?: ReactNode;
  note?: ReactNode;
  children?: ReactNode;
}

/** The top of a page: its name, and what one can do with all of it. */
export function PageHead({ name, title, note, children }: PageHeadProps) {
  return (
    <header className="page-head">
      <title>{`${name} – Archon Sessions`}</title>
      <div className="page-title">
        <h1>{title ?? name}</h1>
        {note !== undefined && <div className="quiet">{note}</div>}
      </div>
      {children !== undefined && <div className="page-actions">{children}</div>}
    </header>
  );
}
