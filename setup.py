"""Packaging of mmdd. `make install` makes a whole environment; this file packs the library."""
import os
import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
SHIPPED = ('configs', 'tools', 'projects', 'model-index.yml')
# what the package holds beside code: priors, class names, the parts of the HTML report
DATA = ('css', 'html', 'js', 'json', 'md', 'png', 'safetensors', 'txt')


def read_version():
    """The version in mmdd/version.py, without importing mmdd."""
    text = (ROOT / 'mmdd' / 'version.py').read_text(encoding='utf-8')
    return re.search(r"__version__ = '([^']+)'", text)[1]


def read_requirements(name):
    """The requirement lines of requirements/<name>.txt."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith('#')]


def read_readme():
    """The README, where the tree has one."""
    path = ROOT / 'README.md'
    return path.read_text(encoding='utf-8') if path.is_file() else ''


class BuildWithMim(build_py):
    """Ship configs, tools and projects under mmdd/.mim, where mim and MMEngine look for them.

    A wheel gets copies, made in the build folder; an editable install gets
    links, which git ignores.
    """

    def run(self):
        super().run()
        base = ROOT if self.editable_mode else Path(self.build_lib)
        for name in SHIPPED:
            if (ROOT / name).exists():
                ship = self.link if self.editable_mode else self.copy
                ship(name, base / 'mmdd' / '.mim' / name)

    @staticmethod
    def copy(name, target):
        """Copy a shipped file or folder to where the wheel is packed from."""
        source = ROOT / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns('__pycache__', '*.pyc'))
        else:
            shutil.copy2(source, target)

    @staticmethod
    def link(name, target):
        """Link a shipped file or folder into the source tree, relative to it."""
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink():
            target.unlink()
        if not target.exists():
            target.symlink_to(os.path.relpath(ROOT / name, target.parent))


runtime, optional, nodeps, tests, mim = map(
    read_requirements, ('runtime', 'optional', 'nodeps', 'tests', 'mminstall'))
optional += nodeps
setup(
    name='mmdd',
    version=read_version(),
    description='Dataset distillation toolbox inside OpenMMLab',
    long_description=read_readme(),
    long_description_content_type='text/markdown',
    author='The mmdd authors',
    license='Apache-2.0',
    license_files=['LICENSE'],
    keywords='computer vision, dataset distillation, diffusion models',
    packages=find_packages(include=['mmdd', 'mmdd.*']),
    package_data={'mmdd': [f'**/*.{suffix}' for suffix in DATA]},
    include_package_data=False,
    python_requires='>=3.11,<3.13',
    install_requires=runtime,
    extras_require={
        'mim': mim, 'optional': optional, 'tests': tests, 'all': mim + optional + tests},
    entry_points={'console_scripts': ['mmdd = mmdd.__main__:main']},
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    cmdclass={'build_py': BuildWithMim},
    zip_safe=False,
)
