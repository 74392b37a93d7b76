/**
 * Requests over time: a mark each, where it began, as high as it took long (by powers of ten), coloured by its
 * outcome. Dragging over a part zooms into it; the buttons do the same without a pointer.
 */
import { Button } from '@mantine/core';
import { useElementSize } from '@mantine/hooks';
import { type PointerEvent, useMemo, useState } from 'react';
import type { Outcome, Request } from '@/api/types';
import { deed } from '@/format/names';
import { latency } from '@/format/numbers';
import { shortMoment } from '@/format/time';
import { Empty } from '@/parts/answers';
import { isWithin, moved, type Range, SHORTEST_MS, scaled, startOf, wholeRange } from './range';
import './timeline.css';

const HEIGHT = 132;
const AXIS = 20;
const LEFT = 58;
/** Durations that have a line: from the quickest worth telling apart to a call's usual limit. */
const LINES_US = [100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];
/** A drag shorter than this was a click. */
const DRAG_MIN_PX = 6;
/** A label needs so much room. */
const LABEL_PX = 130;

const COLOUR: Record<Outcome, string> = {
  success: 'var(--accent-mark)',
  error: 'var(--bad-mark)',
  timeout: 'var(--warn-mark)',
};

interface TimelineProps {
  requests: readonly Request[];
  /** The part that is shown; all of it if left out. */
  range: Range | undefined;
  zoom: (range: Range | undefined) => void;
}

export function Timeline({ requests, range, zoom }: TimelineProps) {
  const { ref, width } = useElementSize();
  const whole = useMemo(() => wholeRange(requests), [requests]);
  const [drag, setDrag] = useState<{ from: number; to: number }>();
  if (requests.length === 0) return <Empty title="No requests yet." />;

  const shown = range ?? whole;
  const scale = timeScale(shown, width);
  const lines = linesFor(requests);
  const at = (event: PointerEvent<SVGSVGElement>) =>
    event.clientX - event.currentTarget.getBoundingClientRect().left;
  const finish = () => {
    setDrag(undefined);
    if (!drag || Math.abs(drag.to - drag.from) < DRAG_MIN_PX) return;
    const from = scale.time(Math.min(drag.from, drag.to));
    const to = scale.time(Math.max(drag.from, drag.to));
    zoom({ from, to: Math.max(to, from + SHORTEST_MS) });
  };

  return (
    <div className="timeline">
      <div ref={ref}>
        <svg
          className="timeline-chart"
          width={width}
          height={HEIGHT + AXIS}
          role="img"
          aria-label={`${requests.length} requests over time by duration. The table below lists them.`}
          onPointerDown={(event) => {
            event.currentTarget.setPointerCapture(event.pointerId);
            setDrag({ from: at(event), to: at(event) });
          }}
          onPointerMove={(event) => drag && setDrag({ ...drag, to: at(event) })}
          onPointerUp={finish}
          onPointerCancel={() => setDrag(undefined)}
          onDoubleClick={() => zoom(undefined)}
        >
          {lines.map((us) => (
            <g key={us} transform={`translate(0 ${height(us, lines)})`}>
              <line x1={LEFT} x2={width} className="timeline-line" />
              <text x={LEFT - 8} dy="0.32em" textAnchor="end">
                {latency(us)}
              </text>
            </g>
          ))}
          {ticks(shown, width).map((time) => (
            <text key={time} x={scale.x(time)} y={HEIGHT + AXIS - 4} textAnchor="middle">
              {shortMoment(new Date(time).toISOString(), Date.now())}
            </text>
          ))}
          {(width > LEFT ? requests : [])
            .filter((request) => isWithin(request, shown))
            // A long one stays behind those that began while it went on.
            .toSorted((a, b) => b.duration_us - a.duration_us)
            .map((request) => {
              const x = Math.max(LEFT, scale.x(startOf(request)));
              const y = height(request.duration_us, lines);
              const end = Math.max(x + 3, scale.x(startOf(request) + request.duration_us / 1_000));
              return (
                <rect
                  key={request.id ?? request.timestamp}
                  x={x}
                  y={y}
                  width={Math.min(end, width) - x}
                  height={Math.max(3, HEIGHT - y)}
                  fill={COLOUR[request.status]}
                  className="timeline-mark"
                >
                  <title>{`${deed(request)}: ${request.status}, ${latency(request.duration_us)}`}</title>
                </rect>
              );
            })}
          {drag && (
            <rect
              className="timeline-drag"
              x={Math.min(drag.from, drag.to)}
              y={0}
              width={Math.abs(drag.to - drag.from)}
              height={HEIGHT}
            />
          )}
        </svg>
      </div>
      <fieldset className="timeline-buttons" aria-label="Part of the timeline">
        <Button variant="default" onClick={() => zoom(scaled(shown, 0.5, whole))}>
          Zoom in
        </Button>
        <Button variant="default" disabled={!range} onClick={() => zoom(scaled(shown, 2, whole))}>
          Zoom out
        </Button>
        <Button variant="default" disabled={!range} onClick={() => zoom(moved(shown, -0.5, whole))}>
          Earlier
        </Button>
        <Button variant="default" disabled={!range} onClick={() => zoom(moved(shown, 0.5, whole))}>
          Later
        </Button>
        <Button variant="default" disabled={!range} onClick={() => zoom(undefined)}>
          All
        </Button>
      </fieldset>
    </div>
  );
}

function timeScale({ from, to }: Range, width: number) {
  const perMs = Math.max(1, width - LEFT) / (to - from);
  return {
    x: (time: number) => LEFT + (time - from) * perMs,
    time: (x: number) => from + (Math.max(LEFT, Math.min(width, x)) - LEFT) / perMs,
  };
}

/** The powers of ten that hold all durations. */
function linesFor(requests: readonly Request[]): readonly number[] {
  const longest = Math.max(...requests.map((request) => request.duration_us));
  const above = LINES_US.findIndex((us) => us >= longest);
  return LINES_US.slice(0, Math.max(3, above === -1 ? LINES_US.length : above + 1));
}

function height(us: number, lines: readonly number[]): number {
  const low = Math.log10(lines[0] ?? 1);
  const high = Math.log10(lines.at(-1) ?? 10);
  const share = (Math.log10(Math.max(1, us)) - low) / (high - low);
  return 8 + (HEIGHT - 8) * (1 - Math.min(1, Math.max(0, share)));
}

function ticks({ from, to }: Range, width: number): number[] {
  const count = Math.max(1, Math.floor((width - LEFT) / LABEL_PX));
  return Array.from({ length: count }, (_, n) => from + ((n + 0.5) * (to - from)) / count);
}
