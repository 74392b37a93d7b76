/** What stands on the timeline. */
import type { Outcome, Request } from '@/api/types';
import { deed } from '@/format/names';
import { latency } from '@/format/numbers';
import { moment } from '@/format/time';
import { type Happening, isHeartbeat } from './life';
import { isWithin, type Range, startOf } from './range';

interface Box {
  left: number;
  right: number;
  bottom: number;
}

interface MarksProps {
  shown: Range;
  x: (time: number) => number;
  box: Box;
}

const COLOUR: Record<Outcome, string> = {
  success: 'var(--accent-mark)',
  error: 'var(--bad-mark)',
  timeout: 'var(--warn-mark)',
};

export function RequestMarks({
  requests,
  height,
  shown,
  x,
  box,
}: MarksProps & { requests: readonly Request[]; height: (us: number) => number }) {
  return (
    requests
      .filter((request) => isWithin(request, shown) && !isHeartbeat(request))
      // A long one stays behind those that began while it went on.
      .toSorted((a, b) => b.duration_us - a.duration_us)
      .map((request) => {
        const from = Math.max(box.left, x(startOf(request)));
        const to = Math.min(box.right, Math.max(from + 3, x(startOf(request) + request.duration_us / 1_000)));
        const top = Math.min(box.bottom - 3, height(request.duration_us));
        return (
          <rect
            key={request.id ?? request.timestamp}
            x={from}
            y={top}
            width={to - from}
            height={box.bottom - top}
            fill={COLOUR[request.status]}
            className="timeline-mark"
          >
            <title>{`${deed(request)}: ${request.status}, ${latency(request.duration_us)}`}</title>
          </rect>
        );
      })
  );
}

/** Lines closer to each other than this share one word. */
const WORD_PX = 120;

export function LifeMarks({ life, shown, x, box }: MarksProps & { life: readonly Happening[] }) {
  const within = life.filter(({ at }) => at >= shown.from && at <= shown.to);
  const lines = within.filter(({ kind }) => kind !== 'heartbeat');
  return (
    <>
      {within
        .filter(({ kind }) => kind === 'heartbeat')
        .map(({ at, said }, n) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: several may come at one moment, and none has a name
          <circle key={`${at} ${n}`} className="timeline-heartbeat" cx={x(at)} cy={box.bottom - 5} r={3.5}>
            <title>{`${said}, ${moment(new Date(at).toISOString())}`}</title>
          </circle>
        ))}
      {lines.map(({ at, kind, said }, n) => {
        const before = lines[n - 1];
        const isCrowded = before !== undefined && x(at) - x(before.at) < WORD_PX;
        const isRight = x(at) > box.right - WORD_PX;
        return (
          <g
            // biome-ignore lint/suspicious/noArrayIndexKey: several may come at one moment, and none has a name
            key={`${at} ${n}`}
            transform={`translate(${x(at)} 0)`}
            className="timeline-life"
            data-kind={kind}
          >
            <title>{`${said}, ${moment(new Date(at).toISOString())}`}</title>
            <line y1={4} y2={box.bottom} />
            {!(isCrowded && kind !== 'ended') && (
              <text x={isRight ? -6 : 6} y={13} textAnchor={isRight ? 'end' : 'start'}>
                {said}
              </text>
            )}
          </g>
        );
      })}
    </>
  );
}
