/** Turns the pages of a list. What cannot be done is left out; where nothing can, there is nothing. */
import { Button } from '@mantine/core';
import './turn-pages.css';

interface TurnPagesProps {
  first: (() => void) | undefined;
  back: (() => void) | undefined;
  next: (() => void) | undefined;
}

export function TurnPages({ first, back, next }: TurnPagesProps) {
  if (!first && !back && !next) return null;
  return (
    <nav className="pages" aria-label="Pages of the list">
      <Button variant="default" disabled={!first} onClick={first}>
        First
      </Button>
      <Button variant="default" disabled={!back} onClick={back}>
        Back
      </Button>
      <Button variant="default" disabled={!next} onClick={next}>
        Next
      </Button>
    </nav>
  );
}
