/** What jsdom lacks and Mantine asks for. */
import { cleanup, configure } from '@testing-library/react';
import { afterEach } from 'vitest';

// Machines are busy: a wide limit costs nothing where a test passes.
configure({ asyncUtilTimeout: 15_000 });
afterEach(cleanup);

if (typeof window !== 'undefined') {
  window.scrollTo = () => {};
  window.matchMedia = (query: string) =>
    ({
      matches: false,
      media: query,
      addEventListener: () => {},
      removeEventListener: () => {},
    }) as unknown as MediaQueryList;
  window.ResizeObserver = class {
    observe() {}
    unobserve() {}
    disconnect() {}
  };
}
