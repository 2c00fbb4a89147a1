// Drives the pages in Chromium, as their people do: a new device is set up, an account's switches are turned and each is tried by a
// real login, a mistake is mended, a source is tested, a change that shuts out is taken back. Each page is looked at by axe, at the
// width of a phone and of a desktop, light and dark, and without a script.
//
// node drive.mjs BASE_HTTP BASE_HTTPS IMAP_PORT POP3_PORT SCREENSHOTS
import { chromium } from 'playwright-core';
import assert from 'node:assert/strict';
import { readFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import net from 'node:net';
import { execFileSync } from 'node:child_process';

const [http, https, imapPort, pop3Port, shots] = process.argv.slice(2);
mkdirSync(shots, { recursive: true });
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const profile = mkdtempSync(join(tmpdir(), 'pillarbox-pages-'));
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

async function open(options) {
  return chromium.launchPersistentContext(mkdtempSync(join(profile, 'p')), {
    executablePath: '/usr/bin/chromium', args: flags, ignoreHTTPSErrors: true, javaScriptEnabled: false,
    viewport: { width: 1100, height: 900 }, locale: 'en-GB', ...options,
  });
}

// What a server answers to lines, the last of them.
function talk(port, lines) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(Number(port), '127.0.0.1');
    const heard = [];
    const rest = [...lines];
    let text = '';
    socket.setTimeout(20000, () => reject(new Error('no answer')));
    socket.on('error', reject);
    socket.on('data', (data) => {
      text += data;
      for (let end; (end = text.indexOf('\r\n')) >= 0;) {
        const line = text.slice(0, end);
        text = text.slice(end + 2);
        if (line.startsWith('* ') && heard.length > 0) continue;
        heard.push(line);
        if (rest.length === 0) { socket.destroy(); resolve(line); return; }
        socket.write(rest.shift() + '\r\n');
      }
    });
  });
}
const imap = async (name, password) => (await talk(imapPort, [`a LOGIN ${name} "${password}"`])).startsWith('a OK');
const pop3 = async (name, password) => (await talk(pop3Port, [`USER ${name}`, `PASS ${password}`])).startsWith('+OK');

// axe needs a script: it looks at what the page without scripts has become, in a browser beside it.
const looking = await open({ javaScriptEnabled: true, bypassCSP: true });
let looked = 0;
async function look(page, name) {
  await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
  const html = await page.content();
  for (const [scheme, width] of [['light', 1100], ['light', 320], ['dark', 320]]) {
    const beside = await looking.newPage();
    await beside.emulateMedia({ colorScheme: scheme });
    await beside.setViewportSize({ width, height: 800 });
    await beside.setContent(html);
    await beside.evaluate(axe);
    const { violations } = await beside.evaluate(() => axe.run());
    const told = violations.map((it) => `${it.id}: ${it.nodes.map((node) => node.html).join(' | ')}`);
    assert.deepEqual(told, [], `${name}, ${scheme}, ${width}`);
    const wide = await beside.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= width, `${name} is ${wide} wide at ${width}`);
    if (width === 320) await beside.screenshot({ path: join(shots, `${name}-${scheme}-320.png`), fullPage: true });
    await beside.close();
    looked++;
  }
}

const browser = await open({});
const page = await browser.newPage();
page.setDefaultTimeout(10000);
const words = () => page.locator('main').innerText();
const save = (form) => page.locator(`form[action$="${form}"] button`).first().click();

// A new device shows one thing, and what the browser will warn of.
await page.goto(http + '/');
assert.match(await words(), /I am new/);
assert.match(await words(), /warn you once/);
await look(page, 'welcome');
await page.goto(http + '/accounts');
assert.ok(page.url().startsWith(https), page.url());
await page.goto(https + '/');
await page.getByRole('link', { name: 'I am new' }).click();
await look(page, 'first');

// Mistakes are told, and what was typed stays.
await page.getByLabel('New password').nth(0).fill('short');
await page.getByLabel('Once more').nth(0).fill('short');
await page.getByLabel('Name of the account').fill('ann');
await page.getByLabel('New password').nth(1).fill('open sesame');
await page.getByLabel('Once more').nth(1).fill('open sesam');
await page.getByRole('button', { name: 'Set up' }).click();
assert.match(await words(), /at least 8 characters/);
assert.match(await words(), /differ/);
assert.equal(await page.getByLabel('Name of the account').inputValue(), 'ann');
await look(page, 'first-refused');
await page.getByLabel('New password').nth(0).fill('the operator');
await page.getByLabel('Once more').nth(0).fill('the operator');
await page.getByLabel('New password').nth(1).fill('open sesame');
await page.getByLabel('Once more').nth(1).fill('open sesame');
await page.getByRole('button', { name: 'Set up' }).click();
assert.ok(page.url().startsWith(https + '/first/mail'), await words());
await page.getByRole('button', { name: 'Send a test mail' }).click();
assert.match(await words(), /It works/);
await look(page, 'done');
assert.ok(await imap('ann', 'open sesame'));

// The account: each switch by its effect on a login.
await page.getByRole('link', { name: 'To the account' }).click();
await look(page, 'account');
assert.match(await words(), /The Connector is not active on this server/);
assert.ok(await page.getByLabel('Connector programs').isDisabled());
for (const [label, login] of [['POP3', pop3], ['IMAP', imap]]) {
  assert.ok(await login('ann', 'open sesame'), label);
  await page.getByLabel(label, { exact: true }).uncheck();
  await save('/mail-services');
  assert.match(await words(), /Saved/);
  assert.ok(!await login('ann', 'open sesame'), label);
  if (label === 'IMAP') {
    assert.ok(await page.getByLabel('Connector programs').isDisabled());
  }
  await page.getByLabel(label, { exact: true }).check();
  await save('/mail-services');
  assert.ok(await login('ann', 'open sesame'), label);
}

// An app password is shown once, opens the mailbox, and is gone when it is removed.
await page.getByLabel('Device or program').fill('phone');
await page.getByRole('button', { name: 'Make an app password' }).click();
const app = (await words()).match(/phone is (\S+)/)[1];
assert.ok(await imap('ann', app));
await look(page, 'app-password');
await page.reload();
assert.ok(!(await words()).includes(app));
await page.getByRole('button', { name: 'Remove phone' }).click();
assert.ok(!await imap('ann', app));

// The smarthost login: what is set stays as long as its stars are left, and goes with them.
await page.getByLabel('User name').fill('ann@provider.example');
await page.getByLabel('Password', { exact: true }).fill('hush hush');
await save('/mail-services');
assert.equal(await page.getByLabel('Password', { exact: true }).inputValue(), '********');
assert.ok(!(await page.content()).includes('hush hush'));
assert.match(await words(), /own logins are switched off/);

// A mistake stands beside its field.
await page.getByLabel('Quota').fill('many');
await save('/general');
assert.match(await words(), /"many" is not/);
assert.equal(await page.getByLabel('Quota').getAttribute('aria-invalid'), 'true');
await look(page, 'account-refused');

// A mailbox elsewhere is tested before it is saved: this appliance itself, which it recognizes.
await page.goto(https + '/accounts/ann/sources/new');
await page.getByLabel('Server', { exact: true }).fill('127.0.0.1');
await page.getByLabel('Security', { exact: true }).selectOption('none');
await page.getByLabel('Port').fill(pop3Port);
await page.getByLabel('User name', { exact: true }).fill('ann');
await page.getByLabel('Password', { exact: true }).fill('wrong one');
await page.getByRole('button', { name: 'Test' }).click();
assert.match(await words(), /does not work yet/);
await look(page, 'source-tested');
// What was typed is not shown, and not lost.
assert.equal(await page.getByLabel('Password', { exact: true }).inputValue(), '********');
await page.getByLabel('Port').fill('x');
await page.getByRole('button', { name: 'Save' }).click();
assert.match(await words(), /is not a port/);
await page.getByLabel('Port').fill(pop3Port);
await page.getByRole('button', { name: 'Save' }).click();
assert.match(await words(), /ann\s+127\.0\.0\.1/);
await look(page, 'sources');
await page.getByRole('link', { name: 'ann', exact: true }).click();
await page.getByRole('button', { name: 'Test' }).click();
assert.match(await words(), /login was refused: \[AUTH\]/, 'the password that was typed first');

// The server's pages, each of them.
await page.goto(https + '/server');
await look(page, 'server');
for (const section of ['smarthost', 'multipop', 'server', 'listen', 'network', 'tls', 'certificate', 'backup']) {
  await page.goto(`${https}/server/${section}`);
  await look(page, section);
}
await page.goto(https + '/server/certificate');
assert.match(await words(), /Pillarbox local CA .*\n[^]*SHA-256\s+([0-9A-F]{2}:){31}/);
// A backup is a file, for who knows the password.
await page.goto(https + '/server/backup');
await page.getByLabel('password').fill('wrong one');
await page.getByRole('button', { name: 'Download' }).click();
assert.match(await words(), /refused/);
await page.getByLabel('password').fill('the operator');
const [download] = await Promise.all([
  page.waitForEvent('download'), page.getByRole('button', { name: 'Download' }).click()]);
assert.match(download.suggestedFilename(), /^pillarbox\.local-\d{8}-\d{6}\.pillarbox-backup\.tar$/);
const names = execFileSync('tar', ['tf', await download.path()], { encoding: 'utf8' }).split('\n');
assert.ok(names[0] === 'pillarbox-backup' && names.includes('config.postcard'), names.join(' '));
assert.ok(names.includes('pillarbox-backup.end'), 'it is whole');

// A permission: the provider is asked on its page, and what the browser shows in the end is pasted.
await page.goto(https + '/accounts/ann/sources/1');
await page.getByRole('link', { name: 'Permission' }).click();
await page.getByLabel('Provider:').fill('yahoo');
await page.getByLabel('Client ID').fill('pillarbox');
await page.getByRole('button', { name: 'Save' }).click();
assert.match(await words(), /Saved/);
await look(page, 'permission');
await page.getByRole('button', { name: 'Ask for the permission' }).click();
assert.match(await words(), /log in as ann, and agree/);
assert.match(await page.getByRole('link', { name: 'yahoo.com' }).getAttribute('href'), /^https:\/\/api\.login\.yahoo\.com\//);
await look(page, 'permission-asked');
await page.getByLabel('The whole address').fill('http://127.0.0.1:1234/?error=access_denied');
await page.getByRole('button', { name: 'Take the permission' }).click();
await look(page, 'permission-refused');
await page.getByRole('button', { name: 'Cancel' }).click();

await page.goto(https + '/server/server');
await page.getByLabel('whether the Connector').check();
await page.getByRole('button', { name: 'Save' }).click();
assert.match(await words(), /Saved/);
await page.goto(https + '/accounts/ann');
await page.getByLabel('Connector programs').check();
await page.getByLabel('IMAP', { exact: true }).uncheck();
await save('/mail-services');
assert.match(await words(), /imap/);
assert.ok(await imap('ann', 'open sesame'), 'nothing was changed');

// What would shut out asks first, and is taken back unless it is kept.
await page.goto(https + '/server/server');
const lan = await page.getByLabel('networks that count').inputValue();
await page.getByLabel('networks that count').fill('192.168.7.0/24');
await page.getByRole('button', { name: 'Save' }).click();
assert.match(await words(), /would be closed to you/);
await look(page, 'sure');
await page.getByRole('link', { name: 'Cancel' }).click();
assert.equal(await page.getByLabel('networks that count').inputValue(), lan);

await page.goto(https + '/queue');
await look(page, 'queue');
await page.goto(https + '/sessions');
await look(page, 'sessions');
await page.goto(https + '/accounts');
await look(page, 'accounts');
await page.goto(https + '/');
await look(page, 'start');
const size = Number((await page.request.get(https + '/')).headers()['content-length']);
assert.ok(size <= 20 * 1024, `the start page has ${size} octets`);

// By the keyboard alone.
await page.goto(https + '/accounts/ann');
for (let n = 0; n < 40; n++) {
  await page.keyboard.press('Tab');
  if (await page.getByLabel('POP3', { exact: true }).evaluate((it) => it === document.activeElement).catch(() => false)) break;
}
await page.keyboard.press('Space');
const loaded = page.waitForEvent('load');
await page.keyboard.press('Enter');
await loaded;
assert.ok(!await pop3('ann', 'open sesame'));

// Another language, another person: a user sees her own page and nobody else's.
const german = await open({ locale: 'de-DE' });
const mine = await german.newPage();
await mine.goto(https + '/login');
await mine.getByLabel('Anmeldename').fill('ann@pillarbox.local');
await mine.getByLabel('Passwort').fill('wrong one');
await mine.getByRole('button', { name: 'Anmelden' }).click();
assert.match(await mine.locator('main').innerText(), /abgewiesen/);
await look(mine, 'login-german');
await mine.getByLabel('Passwort').fill('open sesame');
await mine.getByRole('button', { name: 'Anmelden' }).click();
assert.equal(mine.url(), https + '/mine');
assert.match(await mine.locator('main').innerText(), /Letzte Anmeldungen/);
await look(mine, 'mine-german');
for (const path of ['/accounts', '/accounts/ann', '/server', '/queue']) {
  assert.equal((await mine.goto(https + path)).status(), 403, path);
}
await mine.goto(https + '/mine');
await mine.getByLabel('Bisheriges Passwort').fill('open sesame');
await mine.getByLabel('Neues Passwort').fill('another sesame');
await mine.getByLabel('Noch einmal').fill('another sesame');
await mine.getByRole('button', { name: 'Passwort ändern' }).click();
assert.match(await mine.locator('main').innerText(), /in Kraft/);
assert.ok(await imap('ann', 'another sesame'));
await mine.goto(https + '/');
await look(mine, 'start-german');
await mine.getByRole('button', { name: 'Abmelden' }).click();
await mine.goto(https + '/mine');
assert.equal(mine.url(), https + '/login');

await Promise.all([browser.close(), german.close(), looking.close()]);
rmSync(profile, { recursive: true, force: true });
console.log(`all is well: ${looked} looks`);
