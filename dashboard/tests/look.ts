/** Takes pictures of pages, in both themes and at three widths: `node tests/look.ts URL FOLDER [page…]`. */
import { openBrowser, openContext } from './browser/chromium.ts';

const [address = '', folder = '', ...wanted] = process.argv.slice(2);
const PATHS =
  wanted.length > 0
    ? wanted
    : ['/', '/sessions', '/tools', '/analytics', '/logs', '/errors', '/costs', '/connect'];
const LOOKS = [
  { name: 'light', width: 1440, height: 900, colorScheme: 'light' },
  { name: 'dark', width: 1440, height: 900, colorScheme: 'dark' },
  { name: 'phone', width: 360, height: 740, colorScheme: 'light' },
] as const;

const said = new Set<string>();
function say(text: string) {
  if (!said.has(text)) console.log(text);
  said.add(text);
}

const browser = await openBrowser();
for (const { name, width, height, colorScheme } of LOOKS) {
  const context = await openContext(browser, { viewport: { width, height }, colorScheme });
  const page = await context.newPage();
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning')
      say(`${name}: ${message.text().slice(0, 300)}`);
  });
  page.on('pageerror', (error) => say(`${name}: ${error.message}`));
  for (const path of PATHS) {
    await page.goto(new URL(path, address).href);
    await page.getByRole('heading', { level: 1 }).waitFor();
    await page.waitForTimeout(1_500);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    if (wide > 0) console.log(`${name} ${path}: ${wide} px wider than the screen`);
    await page.screenshot({
      path: `${folder}/${path.replaceAll('/', '_')}-${name}.png`,
      fullPage: name === 'phone',
    });
  }
  await context.close();
}
await browser.close();
