"""What the image is built of is there, and all that an installed mmdd needs is among it."""
import os.path as osp
import re

ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))


def read(name):
    with open(osp.join(ROOT, name), encoding='utf-8') as f:
        return f.read()


def test_the_context_holds_what_setup_needs():
    lines = read('.dockerignore').splitlines()
    taken = {line[1:] for line in lines if line.startswith('!')}
    assert '*' in lines and all(osp.exists(osp.join(ROOT, name)) for name in taken)
    shipped = re.search(r'SHIPPED = \((.*?)\)', read('setup.py'))[1]
    assert set(re.findall(r"'([^']+)'", shipped)) <= taken
    assert {'mmdd', 'requirements', 'setup.py', 'pyproject.toml', 'README.md', 'LICENSE'} <= taken


def test_the_image_has_every_list_of_packages():
    text = read('docker/Dockerfile')
    named = set(re.findall(r'requirements/(\w+)\.txt', text))
    assert named == {'constraints', 'build', 'mminstall', 'runtime', 'nodeps'}
    assert all(osp.isfile(osp.join(ROOT, f'requirements/{name}.txt')) for name in named)


def test_cpu_is_the_default_and_devices_are_stages():
    text = read('docker/Dockerfile')
    assert re.findall(r'^FROM \S+ AS (\w+)$', text, re.M) == ['cpu', 'cuda']
    assert re.findall(r'^ARG DEVICE=(\w+)$', text, re.M) == ['cpu']
    # torch comes with the CUDA of the image
    cuda = re.search(r'nvidia/cuda:(\d+)\.(\d+)\.', text)
    assert f'/whl/cu{cuda[1]}{cuda[2]} ' in text


def test_mmcv_is_compiled_in_the_standard_of_torch():
    """As tools/setup_venv.py does it."""
    text, pins = read('docker/Dockerfile'), read('requirements/constraints.txt')
    major, minor = map(int, re.search(r'^torch==(\d+)\.(\d+)', pins, re.M).groups())
    for part in ('exec c++ "$@" -std=c++20', 'CXX=c++20 NVCC_APPEND_FLAGS=-std=c++20'):
        assert (part in text) == ((major, minor) >= (2, 14))
