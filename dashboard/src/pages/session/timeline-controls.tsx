/** Zooms and moves the timeline without a pointer, and says what its colours mean. */
import { Button } from '@mantine/core';
import { moved, type Range, scaled } from './range';

interface TimelineControlsProps {
  shown: Range;
  whole: Range;
  isZoomed: boolean;
  zoom: (range: Range | undefined) => void;
}

export function TimelineControls({ shown, whole, isZoomed, zoom }: TimelineControlsProps) {
  return (
    <div className="timeline-foot">
      <fieldset className="timeline-buttons" aria-label="Timeline range">
        <Button variant="default" onClick={() => zoom(scaled(shown, 0.5, whole))}>
          Zoom in
        </Button>
        <Button variant="default" disabled={!isZoomed} onClick={() => zoom(scaled(shown, 2, whole))}>
          Zoom out
        </Button>
        <Button variant="default" disabled={!isZoomed} onClick={() => zoom(moved(shown, -0.5, whole))}>
          Earlier
        </Button>
        <Button variant="default" disabled={!isZoomed} onClick={() => zoom(moved(shown, 0.5, whole))}>
          Later
        </Button>
        <Button variant="default" disabled={!isZoomed} onClick={() => zoom(undefined)}>
          All
        </Button>
      </fieldset>
      <div className="timeline-key" aria-hidden="true">
        <span data-kind="success">answered</span>
        <span data-kind="error">failed</span>
        <span data-kind="timeout">timed out</span>
        <span data-kind="heartbeat">heartbeat</span>
      </div>
    </div>
  );
}
