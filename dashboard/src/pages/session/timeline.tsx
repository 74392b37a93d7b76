/**
 * A session over time. Requests are marks where they began, as high as they took long (by powers of ten), coloured by
 * their outcome; lines say when the session began, was taken back, and ended. Dragging over a part zooms into it; the
 * buttons and keys do the same without a pointer.
 */
import { useElementSize } from '@mantine/hooks';
import { type KeyboardEvent, type PointerEvent, useMemo, useState } from 'react';
import type { Attempt, Request, Session } from '@/api/types';
import { latency } from '@/format/numbers';
import { shortMoment } from '@/format/time';
import { lifeOf } from './life';
import { moved, type Range, SHORTEST_MS, scaled, wholeRange } from './range';
import { heightScale, linesFor, ticks, timeScale } from './scales';
import { TimelineControls } from './timeline-controls';
import { LifeMarks, RequestMarks } from './timeline-marks';
import './timeline.css';

/** Where the words of lines stand. */
const TOP = 18;
const HEIGHT = 156;
const AXIS = 20;
const LEFT = 58;
/** A drag shorter than this was a click. */
const DRAG_MIN_PX = 6;

interface TimelineProps {
  session: Session;
  requests: readonly Request[];
  /** To take it back. */
  attempts: readonly Attempt[];
  /** The part that is shown; all of it if left out. */
  range: Range | undefined;
  zoom: (range: Range | undefined) => void;
}

export function Timeline({ session, requests, attempts, range, zoom }: TimelineProps) {
  const { ref, width } = useElementSize();
  const life = useMemo(() => lifeOf(session, requests, attempts), [session, requests, attempts]);
  const whole = useMemo(() => wholeRange(requests, life), [requests, life]);
  const [drag, setDrag] = useState<{ from: number; to: number }>();

  const shown = range ?? whole;
  const scale = timeScale(shown, LEFT, width);
  const lines = linesFor(requests);
  const height = heightScale(lines, TOP, HEIGHT);
  const at = (event: PointerEvent<SVGSVGElement>) =>
    event.clientX - event.currentTarget.getBoundingClientRect().left;
  const finish = () => {
    setDrag(undefined);
    if (!drag || Math.abs(drag.to - drag.from) < DRAG_MIN_PX) return;
    const from = scale.time(Math.min(drag.from, drag.to));
    const to = scale.time(Math.max(drag.from, drag.to));
    zoom({ from, to: Math.max(to, from + SHORTEST_MS) });
  };
  const press = (event: KeyboardEvent<SVGSVGElement>) => {
    const move = KEYS[event.key];
    if (!move || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    zoom(move(shown, whole));
  };

  return (
    <div className="timeline">
      <div ref={ref}>
        <svg
          className="timeline-chart"
          width={width}
          height={HEIGHT + AXIS}
          role="img"
          // biome-ignore lint/a11y/noNoninteractiveTabindex: keys zoom and move it, as its description says
          tabIndex={0}
          aria-label={`${requests.length} requests over time by duration. Keys: + and − zoom, arrow keys move, 0 resets. The same requests are in the table below.`}
          onPointerDown={(event) => {
            event.currentTarget.setPointerCapture(event.pointerId);
            setDrag({ from: at(event), to: at(event) });
          }}
          onPointerMove={(event) => drag && setDrag({ ...drag, to: at(event) })}
          onPointerUp={finish}
          onPointerCancel={() => setDrag(undefined)}
          onDoubleClick={() => zoom(undefined)}
          onKeyDown={press}
        >
          {lines.map((us) => (
            <g key={us} transform={`translate(0 ${height(us)})`}>
              <line x1={LEFT} x2={width} className="timeline-line" />
              <text x={LEFT - 8} dy="0.32em" textAnchor="end">
                {latency(us)}
              </text>
            </g>
          ))}
          {ticks(shown, width - LEFT).map((time) => (
            <text key={time} x={scale.x(time)} y={HEIGHT + AXIS - 4} textAnchor="middle">
              {shortMoment(new Date(time).toISOString(), Date.now())}
            </text>
          ))}
          {width > LEFT && (
            <>
              <RequestMarks
                requests={requests}
                shown={shown}
                x={scale.x}
                height={height}
                box={{ left: LEFT, right: width, bottom: HEIGHT }}
              />
              <LifeMarks
                life={life}
                shown={shown}
                x={scale.x}
                box={{ left: LEFT, right: width, bottom: HEIGHT }}
              />
            </>
          )}
          {drag && (
            <rect
              className="timeline-drag"
              x={Math.min(drag.from, drag.to)}
              y={TOP}
              width={Math.abs(drag.to - drag.from)}
              height={HEIGHT - TOP}
            />
          )}
        </svg>
      </div>
      <TimelineControls shown={shown} whole={whole} isZoomed={range !== undefined} zoom={zoom} />
    </div>
  );
}

const KEYS: Record<string, (shown: Range, whole: Range) => Range | undefined> = {
  '+': (shown, whole) => scaled(shown, 0.5, whole),
  '=': (shown, whole) => scaled(shown, 0.5, whole),
  '-': (shown, whole) => scaled(shown, 2, whole),
  ArrowLeft: (shown, whole) => moved(shown, -0.25, whole),
  ArrowRight: (shown, whole) => moved(shown, 0.25, whole),
  '0': () => undefined,
};
