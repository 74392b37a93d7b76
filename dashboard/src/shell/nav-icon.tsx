/** A small drawing beside each page's name, in the colour of the text. */

const PATHS = {
  overview: 'M2.5 8.5h3l2-5 2.5 9 1.8-4h1.7',
  sessions:
    'M6 7.5a2.25 2.25 0 1 0 0-4.5 2.25 2.25 0 0 0 0 4.5ZM2 13c.3-2.2 1.9-3.5 4-3.5s3.700 1.300 4 3.500M10.500 3.300a2.100 2.100 0 0 1 0 4M11.800 9.800c1.300.500 2.050 1.650 2.200 3.200',
  logs: 'M3 4h10M3 8h10M3 12h6',
  errors: 'M8 2.500 14 13H2L8 2.500ZM8 6.500v3M8 11.300v.100',
  tools:
    'M10.200 2.700a3.200 3.200 0 0 0-3.800 4.200L2.600 10.700a1.700 1.700 0 0 0 2.400 2.400l3.800-3.800a3.200 3.200 0 0 0 4.200-3.800L11 7.500 8.500 5l1.700-2.300Z',
  analytics: 'M3 13V9M6.500 13V6M10 13V8M13.500 13V3',
  costs:
    'M8 2v12M11 4.500C10.500 3.700 9.500 3.200 8 3.200c-1.800 0-3 .900-3 2.300 0 3.200 6.200 1.600 6.200 4.900 0 1.500-1.300 2.400-3.200 2.400-1.600 0-2.800-.600-3.300-1.600',
  connect:
    'M6.500 9.500l3-3M7 4.700l1.200-1.200a3.050 3.050 0 0 1 4.300 4.300L11.300 9M9 11.300l-1.200 1.200a3.050 3.050 0 0 1-4.300-4.300L4.700 7',
} as const;

export type IconName = keyof typeof PATHS;

export function NavIcon({ name }: { name: IconName }) {
  return (
    <svg className="nav-icon" viewBox="0 0 16 16" width={16} height={16} aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
