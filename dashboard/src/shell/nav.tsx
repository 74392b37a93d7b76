/** The way between pages. */
import { Link, type LinkProps } from '@tanstack/react-router';
import { Me } from './me';
import { type IconName, NavIcon } from './nav-icon';
import { ThemeSwitch } from './theme-switch';

interface Page {
  to: NonNullable<LinkProps['to']>;
  name: string;
  icon: IconName;
}

/** In groups: what is going on, what it adds up to, and how to come in. */
const PAGES: Page[][] = [
  [
    { to: '/', name: 'Overview', icon: 'overview' },
    { to: '/sessions', name: 'Sessions', icon: 'sessions' },
    { to: '/logs', name: 'Logs', icon: 'logs' },
    { to: '/errors', name: 'Errors', icon: 'errors' },
  ],
  [
    { to: '/tools', name: 'Tools', icon: 'tools' },
    { to: '/analytics', name: 'Analytics', icon: 'analytics' },
    { to: '/costs', name: 'Costs', icon: 'costs' },
  ],
  [{ to: '/connect', name: 'Connect a client', icon: 'connect' }],
];

export function Nav({ isOpen, close }: { isOpen: boolean; close: () => void }) {
  return (
    <nav className="nav" id="nav" aria-label="Pages" data-open={isOpen || undefined}>
      {PAGES.map((group) => (
        <ul key={group[0]?.name} className="nav-group">
          {group.map(({ to, name, icon }) => (
            <li key={to}>
              <Link
                to={to}
                className="nav-link"
                activeOptions={{ exact: to === '/', includeSearch: false }}
                onClick={close}
              >
                <NavIcon name={icon} />
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
