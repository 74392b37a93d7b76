/** The way between pages. */
import { Link, type LinkProps } from '@tanstack/react-router';
import { Me } from './me';
import { ThemeSwitch } from './theme-switch';

interface Page {
  to: NonNullable<LinkProps['to']>;
  name: string;
}

/** In groups: what is going on, what it adds up to, and how to come in. */
const PAGES: Page[][] = [
  [
    { to: '/', name: 'Overview' },
    { to: '/sessions', name: 'Sessions' },
    { to: '/logs', name: 'Logs' },
    { to: '/errors', name: 'Errors' },
  ],
  [
    { to: '/tools', name: 'Tools' },
    { to: '/analytics', name: 'Analytics' },
    { to: '/costs', name: 'Costs' },
  ],
  [{ to: '/connect', name: 'Connect a client' }],
];

export function Nav({ isOpen, close }: { isOpen: boolean; close: () => void }) {
  return (
    <nav className="nav" id="nav" aria-label="Pages" data-open={isOpen || undefined}>
      {PAGES.map((group) => (
        <ul key={group[0]?.name} className="nav-group">
          {group.map(({ to, name }) => (
            <li key={to}>
              <Link
                to={to}
                className="nav-link"
                activeOptions={{ exact: to === '/', includeSearch: false }}
                onClick={close}
              >
                {name}
              </Link>
            </li>
          ))}
        </ul>
      ))}
      <div className="nav-foot">
        <ThemeSwitch />
        <Me />
      </div>
    </nav>
  );
}
