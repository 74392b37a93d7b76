/** Response times of several tools beside each other: p50, p95 and p99 on one scale of powers of ten. */
import type { ToolTimes } from '@/api/types';
import { toolId } from '@/format/names';
import { latency } from '@/format/numbers';
import './charts.css';

/** Where the scale has lines. */
const POWERS_MS = [0.1, 1, 10, 100, 1_000, 10_000, 100_000];

const PERCENTILES = ['p50', 'p95', 'p99'] as const;

export function PercentilesChart({ tools: all }: { tools: readonly ToolTimes[] }) {
  // What was never answered has no place on the scale.
  const tools = all.filter((tool) => tool.p99 > 0);
  const names = new Map<string, number>();
  for (const { tool } of tools) names.set(tool, (names.get(tool) ?? 0) + 1);
  const low = Math.log10(Math.max(0.01, Math.min(...tools.map((tool) => tool.p50)) / 2));
  const high = Math.log10(Math.max(...tools.map((tool) => tool.p99)) * 1.2);
  const share = (ms: number) => (100 * (Math.log10(Math.max(0.01, ms)) - low)) / Math.max(0.1, high - low);
  const lines = POWERS_MS.filter((ms) => share(ms) >= 0 && share(ms) <= 100);
  return (
    <figure aria-label="Response times of tools: p50, p95 and p99 of each">
      <ul className="percentiles">
        {tools.map((tool) => (
          <li key={toolId(tool)} className="percentile-row">
            <span className="mono cut" title={tool.upstream ? `${tool.tool} at ${tool.upstream}` : tool.tool}>
              {tool.tool}
              {names.get(tool.tool) !== 1 && tool.upstream && <span className="quiet"> {tool.upstream}</span>}
            </span>
            <span className="percentile-track" aria-hidden="true">
              <Lines at={lines.map(share)} />
              <span
                className="percentile-span"
                style={{ '--from': `${share(tool.p50)}%`, '--to': `${share(tool.p99)}%` }}
              />
              {PERCENTILES.map((name) => (
                <span
                  key={name}
                  className="percentile-dot"
                  data-name={name}
                  style={{ '--at': `${share(tool[name])}%` }}
                />
              ))}
            </span>
            <span className="percentile-figures">
              {PERCENTILES.map((name) => latency(tool[name] * 1_000)).join(' · ')}
            </span>
          </li>
        ))}
        <li className="percentile-row" aria-hidden="true">
          <span />
          <span className="percentile-track">
            {lines.map((ms) => (
              <span key={ms} className="percentile-label" style={{ '--at': `${share(ms)}%` }}>
                {latency(ms * 1_000)}
              </span>
            ))}
          </span>
        </li>
      </ul>
      <figcaption className="chart-key">
        {PERCENTILES.map((name) => (
          <span key={name} data-kind="dot" data-name={name}>
            {name}
          </span>
        ))}
      </figcaption>
    </figure>
  );
}

function Lines({ at }: { at: readonly number[] }) {
  return at.map((share) => <span key={share} className="percentile-line" style={{ '--at': `${share}%` }} />);
}
