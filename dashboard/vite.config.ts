import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';
import { mockApi } from './mock/plugin.ts';

/** Where a running `archon serve` answers, for `npm run dev`; without one, the mock API does. */
const gateway = process.env['ARCHON_API'];

export default defineConfig({
  plugins: [react(), ...(gateway ? [] : [mockApi()])],
  resolve: { alias: { '@': `${import.meta.dirname}/src` } },
  server: gateway
    ? { proxy: { '/api': { target: gateway, ws: true }, '/ws': { target: gateway, ws: true } } }
    : {},
  build: {
    target: 'es2022',
    // The page's policy allows images from our own files only, and no data: URLs elsewhere.
    assetsInlineLimit: 0,
    // The polyfill is a script of its own for browsers that we do not support anyway.
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
    chunkSizeWarningLimit: 700,
    rolldownOptions: {
      output: {
        codeSplitting: {
          // What changes with our own code stays apart from what changes with versions of others.
          groups: [
            { name: 'react', test: /node_modules[\\/](react|react-dom|scheduler)[\\/]/ },
            { name: 'tanstack', test: /node_modules[\\/]@tanstack[\\/]/ },
          ],
        },
      },
    },
  },
  test: {
    environment: 'jsdom',
    include: ['src/**/*.test.{ts,tsx}', 'mock/**/*.test.ts'],
    setupFiles: ['./tests/setup.ts'],
    restoreMocks: true,
    unstubGlobals: true,
    testTimeout: 60_000,
  },
});
