/** The calls of the last minute, a column a second: whether anything goes on is seen before it is read. */
import type { Pulse } from '@/live/calls';
import './pulse-strip.css';

/** Of fewer calls, one alone would look like a storm. */
const TOP_MIN = 4;
const HEIGHT = 40;

export function PulseStrip({ pulse }: { pulse: Pulse | undefined }) {
  const seconds = pulse?.seconds ?? [];
  const most = Math.max(0, ...seconds.map(({ calls }) => calls));
  const tall = (calls: number) => (HEIGHT * calls) / Math.max(TOP_MIN, most);
  return (
    <figure className="pulse" aria-label={`Calls per second in the last minute (peak ${most})`}>
      <svg
        viewBox={`0 0 ${Math.max(1, seconds.length)} ${HEIGHT}`}
        preserveAspectRatio="none"
        aria-hidden="true"
      >
        {seconds.map(({ at, calls, failed }, n) => (
          <g key={at}>
            <rect
              className="pulse-calls"
              x={n + 0.12}
              width={0.76}
              y={HEIGHT - tall(calls)}
              height={tall(calls)}
            />
            <rect
              className="pulse-failed"
              x={n + 0.12}
              width={0.76}
              y={HEIGHT - tall(failed)}
              height={tall(failed)}
            />
          </g>
        ))}
      </svg>
      <figcaption className="pulse-key" aria-hidden="true">
        <span>a minute ago</span>
        <span>
          calls per second{most > 0 && ` (peak ${most})`}; <span className="pulse-failed-word">failed</span>
        </span>
        <span>now</span>
      </figcaption>
    </figure>
  );
}
