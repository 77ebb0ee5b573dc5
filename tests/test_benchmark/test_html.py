"""The report as a browser sees it, and what it must not contain."""
from html.parser import HTMLParser

import browser
import pytest
import report_data

from mmdd.benchmark.report.group_plots import draw_group
from mmdd.benchmark.report.html import render
from mmdd.benchmark.report.write import write_benchmark

SCRIPT = '''
const table = document.querySelector('table.sortable');
const texts = () => [...table.tBodies[0].rows].map(row => [...row.cells].map(c => c.textContent));
const heads = [...table.tHead.rows[0].cells].map(cell => cell.textContent);
const before = texts();
const column = heads.indexOf('mAP (last)');
const button = table.tHead.rows[0].cells[column].firstElementChild;
button.click();
const up = texts().map(row => row[0]);
button.click();
const down = texts().map(row => row[0]);
const paper = heads.indexOf('mAP (paper)');
table.tHead.rows[0].cells[paper].firstElementChild.click();
const images = [...document.images];
await Promise.all(images.map(image => image.decode().catch(() => 0)));
return {
  heads, before, up, down, byPaper: texts().map(row => row[0])[0],
  images: images.map(image => [image.alt, image.naturalWidth, image.currentSrc.slice(0, 22)]),
  width: [document.documentElement.scrollWidth, innerWidth],
  background: getComputedStyle(document.body).backgroundColor,
  captions: [...document.querySelectorAll('.gallery figcaption')].map(node => node.textContent),
  text: document.body.innerText, scripts: document.scripts.length, title: document.title,
};
'''


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    return report_data.results(tmp_path_factory.mktemp('report'))


@pytest.fixture(scope='module')
def page(results, tmp_path_factory):
    plots = {group.name: draw_group(group, str(tmp_path_factory.mktemp('plots')), None)
             for group in results.groups}
    assert [plot.kind for plot in plots['Detection & more']] == [
        'methods', 'methods', 'ablation', 'cost']
    return render(results, plots)


class Outside(HTMLParser):
    """Addresses that a page would fetch, and the tags it is made of."""

    def __init__(self):
        super().__init__()
        self.addresses, self.tags = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in ('src', 'srcset', 'href', 'data', 'poster') and not value.startswith(
                    ('data:', '#')):
                self.addresses.append(value)


def test_nothing_outside_and_everything_escaped(page):
    outside = Outside()
    outside.feed(page)
    assert outside.addresses == []
    assert 'url(' not in page and '@import' not in page
    for text in ('<b>paper', '<script>alert', '<i>cat'):
        assert text not in page
    assert 'A &lt;b&gt;paper&lt;/b&gt;' in page
    assert len(page) < 2e6
    # one pair of each, in this order
    for tag in ('html', 'head', 'title', 'body', 'main', 'nav', 'header'):
        assert outside.tags.count(tag) == 1
    assert {'table', 'caption', 'figure', 'figcaption', 'section', 'details'} <= set(outside.tags)


@pytest.mark.slow
def test_in_a_browser(page, tmp_path):
    found = browser.ask(page, SCRIPT, tmp_path, width=500)
    assert found['problems'] == []
    assert [name for name in found['loaded'] if not name.startswith('data:')] == []
    seen = found['answer']
    assert seen['heads'] == [
        'method', 'budget', 'images', 'mAP (last)', 'mAP (best)', 'mAP (paper)', 'mAP − Random',
        'AP50 (last)', 'AP50 (best)', 'AP50 (paper)', 'AP50 − Random', 'updates',
        'sets × students', 's per student']
    assert seen['before'] == [
        ['Random †', '1 %', '3', '41.0 ± 1.4', '42.0 ± 1.4', '-', '-', '61.0 ± 1.4',
         '62.0 ± 1.4', '-', '-', '200', '1 × 2', '12'],
        ['Prior', '1 %', '3', '11.0 ± 1.4', '12.0 ± 1.4', '-', '−30.0', '31.0 ± 1.4',
         '32.0 ± 1.4', '-', '−30.0', '200', '1 × 2', '12'],
        ['Proxy', '1 %', '3', '45.0 ± 1.4', '46.0 ± 1.4', '-', '+4.0', '65.0 ± 1.4',
         '66.0 ± 1.4', '-', '+4.0', '200', '1 × 2', '12'],
        ['UniDD', '1 %', '3', '52.0 ± 2.8', '53.0 ± 2.8', '16.8 ± 0.5', '+11.0', '72.0 ± 2.8',
         '73.0 ± 2.8', '-', '+11.0', '200', '1 × 2', '12'],
        ['Full *', 'all', '300', '70.0', '71.0', '-', '-', '90.0', '91.0', '-', '-', '200',
         '1 × 1', '12']]
    assert seen['up'] == ['Prior', 'Random †', 'Proxy', 'UniDD', 'Full *']
    assert seen['down'] == seen['up'][::-1]
    assert seen['byPaper'] == 'UniDD'
    # three pictures of each of four methods, four plots, all there
    assert len(seen['images']) == 16
    assert all(width > 0 and source.startswith('data:image/')
               for _, width, source in seen['images'])
    last, width, _ = seen['images'][-2]  # the very last is the plot of costs
    assert last.startswith('UniDD, ') and last.endswith('0.70: <i>cat') and width == 160
    assert seen['captions'][-1].endswith('0.70')
    # wide tables scroll by themselves, the page does not
    assert seen['width'][0] <= seen['width'][1]
    assert seen['background'] == 'rgb(255, 255, 255)'
    assert seen['title'] == 'Toys </title><script>alert(2)</script>'
    for text in ('Herding seed 0: <script>alert(1)', 'UniDD (1 %): mAP 52.0, 11.0 above Random '
                 '(41.0)', '50.0 %', 'coverage', '0.750', 'Warning: look here',
                 'python tools/benchmark.py a&b', 'commit abc1234+', 'model: FasterRCNN'):
        assert text in seen['text'], text


@pytest.mark.slow
def test_in_the_dark(page, tmp_path):
    found = browser.ask(
        page, 'return [getComputedStyle(document.body).backgroundColor, '
        'atob(document.querySelector(".plot img").currentSrc.split(",")[1]).includes("#e6edf3")]',
        tmp_path, flags=['--blink-settings=preferredColorScheme=0'])
    assert found['answer'] == ['rgb(13, 17, 23)', True] and found['problems'] == []


def test_the_files(results, tmp_path, capsys):
    write_benchmark(results, str(tmp_path), embedding=None)
    lines = (tmp_path / 'results.md').read_text().splitlines()
    assert '## Detection & more' in lines
    assert '| Prior | 1 % | 3 | 11.0 ± 1.4 | 12.0 ± 1.4 | - | −30.0 |' in lines[7]
    assert '- Failed: Herding seed 0: &lt;script&gt;alert(1)' in lines
    assert '- UniDD (1 %): mAP 52.0, 11.0 above Random (41.0)' in lines
    assert (tmp_path / 'results.json').is_file() and (tmp_path / 'report.html').is_file()
    assert 'report.html' in capsys.readouterr().out
