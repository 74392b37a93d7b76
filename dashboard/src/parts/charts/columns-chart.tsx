/** Columns over time or by hour, with a line beside them where one figure explains the other. */
import {
  Bar,
  CartesianGrid,
  ComposedChart,
  Line,
  ResponsiveContainer,
  Tooltip,
  XAxis,
  YAxis,
} from 'recharts';
import './charts.css';

export interface Series<Row> {
  name: string;
  /** Nothing where there is nothing to say: a day without requests has no rate. */
  value: (row: Row) => number | undefined;
  show: (value: number) => string;
}

interface ColumnsChartProps<Row> {
  /** What the chart says, for whoever does not see it. */
  label: string;
  rows: readonly Row[];
  at: (row: Row) => string;
  columns: Series<Row>;
  line?: Series<Row>;
}

const HEIGHT = 220;

export function ColumnsChart<Row>({ label, rows, at, columns, line }: ColumnsChartProps<Row>) {
  const data = rows.map((row) => ({ at: at(row), columns: columns.value(row), line: line?.value(row) }));
  return (
    <figure className="chart" aria-label={label}>
      <ResponsiveContainer width="100%" height={HEIGHT}>
        <ComposedChart data={data} margin={{ top: 8, right: 0, bottom: 0, left: 0 }}>
          <CartesianGrid vertical={false} stroke="var(--line)" />
          <XAxis dataKey="at" tickLine={false} axisLine={false} minTickGap={24} />
          <YAxis
            yAxisId="columns"
            width={58}
            tickLine={false}
            axisLine={false}
            tickFormatter={columns.show}
          />
          {line && (
            <YAxis
              yAxisId="line"
              orientation="right"
              width={56}
              tickLine={false}
              axisLine={false}
              tickFormatter={line.show}
            />
          )}
          <Tooltip
            cursor={{ fill: 'var(--hover)' }}
            isAnimationActive={false}
            formatter={(value, name) => {
              const series = line && name === line.name ? line : columns;
              return series.show(Number(value));
            }}
          />
          <Bar
            yAxisId="columns"
            dataKey="columns"
            name={columns.name}
            fill="var(--accent-mark)"
            maxBarSize={36}
            radius={[2, 2, 0, 0]}
            isAnimationActive={false}
          />
          {line && (
            <Line
              yAxisId="line"
              dataKey="line"
              name={line.name}
              stroke="var(--text-quiet)"
              strokeWidth={1.5}
              dot={{ r: 1.5, fill: 'var(--text-quiet)', strokeWidth: 0 }}
              isAnimationActive={false}
            />
          )}
        </ComposedChart>
      </ResponsiveContainer>
      <figcaption className="chart-key">
        <span data-kind="column">{columns.name}</span>
        {line && <span data-kind="line">{line.name}</span>}
      </figcaption>
    </figure>
  );
}
