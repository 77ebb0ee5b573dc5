"""Opening a page in headless Chromium and asking it questions."""
import html
import json
import re
import shutil
import subprocess

import pytest

NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')
FLAGS = ('--headless=new', '--no-sandbox', '--disable-gpu', '--hide-scrollbars',
         '--no-first-run', '--disable-background-networking', '--disable-component-update',
         '--host-resolver-rules=MAP * ~NOTFOUND')
# In front of everything else, so that nothing is missed.
LISTENERS = '''<script>
const problems = [];
addEventListener('error', e => problems.push(String(e.message || e.target.outerHTML)), true);
addEventListener('securitypolicyviolation', e => problems.push('blocked: ' + e.blockedURI));
addEventListener('unhandledrejection', e => problems.push(String(e.reason)));
for (const name of ['error', 'warn']) console[name] = (...all) => problems.push(all.join(' '));
</script>'''
ANSWER = '''<script>addEventListener('load', async () => {
  let answer;
  try { answer = await (async () => { %s })(); } catch (error) { problems.push(String(error)); }
  const loaded = performance.getEntriesByType('resource').map(entry => entry.name);
  const box = document.createElement('pre');
  box.id = 'probe';
  box.textContent = JSON.stringify({answer, problems, loaded});
  document.body.append(box);
});</script>'''


def find_browser():
    """Path of a Chromium or Chrome; None where there is none."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


def ask(page, script, folder, width=1280, height=900, flags=()):
    """Open a page and run a script in it.

    Args:
        page: HTML text.
        script: Body of an async function; what it returns is the answer.
        folder: A folder for the page and the browser's profile.
        width: Of the window, in pixels.
        height: Of the window, in pixels.
        flags: More command line flags.

    Returns:
        dict: ``answer``, ``problems`` (errors, warnings, blocked resources) and
        ``loaded`` (addresses of what the page fetched).
    """
    browser = find_browser()
    if browser is None:
        pytest.skip('no chromium or chrome: apt-get install chromium')
    path = folder / 'probe.html'
    page = page.replace('<head>', f'<head>{LISTENERS}', 1)
    path.write_text(page.replace('</body>', ANSWER % script + '</body>', 1), encoding='utf-8')
    done = subprocess.run(
        [browser, *FLAGS, f'--user-data-dir={folder / "profile"}', *flags,
         f'--window-size={width},{height}', '--virtual-time-budget=8000', '--dump-dom',
         path.as_uri()], capture_output=True, text=True, timeout=120)
    found = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.S)
    if found is None:
        pytest.fail(f'{browser} gave no answer: {done.stderr[-500:]}')
    return json.loads(html.unescape(found[1]))
