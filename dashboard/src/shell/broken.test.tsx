import { expect, it } from 'vitest';
import { reloadOnce } from './broken';

it('reloads a page of an older build once, and the next build again', () => {
  window.sessionStorage.clear();
  let reloads = 0;
  const reload = () => {
    reloads += 1;
  };
  reloadOnce(window.sessionStorage, reload, 'one');
  reloadOnce(window.sessionStorage, reload, 'one');
  expect(reloads).toBe(1);
  reloadOnce(window.sessionStorage, reload, 'two');
  expect(reloads).toBe(2);
});
