"""Every registry of mmdd says where its classes lie."""
import ast
import json
import os
import os.path as osp

import processes
from mmengine.registry import Registry

from mmdd import registry

ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))
OWN = {name: value for name, value in vars(registry).items()
       if isinstance(value, Registry) and value.scope == 'mmdd'}
# Each registry is asked first in a process that has read packages of others alone.
FIND = '''
import json, os, sys
assert 'diffusers' in sys.modules
assert all(m.startswith(('mmdd.utils', 'mmdd.version')) for m in sys.modules if m[:5] == 'mmdd.')
from mmdd import registry
missing = {}
for name, kinds in json.loads(sys.argv[1]).items():
    read, write = os.pipe()
    if not os.fork():
        found = [kind for kind in kinds if getattr(registry, name).get(kind) is None]
        os.write(write, json.dumps(found).encode())
        os._exit(0)
    os.close(write)
    missing[name] = json.loads(os.fdopen(read).read() or '["no answer"]')
print(json.dumps(missing))
'''


def registered():
    """Names of the classes below mmdd that a decorator registers, by registry."""
    found = {}
    for base, _, files in os.walk(osp.join(ROOT, 'mmdd')):
        for file in files:
            if file.endswith('.py'):
                with open(osp.join(base, file), encoding='utf-8') as f:
                    tree = ast.parse(f.read())
                for node in ast.walk(tree):
                    for mark in getattr(node, 'decorator_list', ()):
                        if ast.unparse(mark).endswith('.register_module()'):
                            found.setdefault(ast.unparse(mark).split('.')[0], []).append(node.name)
    return found


def test_every_registry_has_locations():
    # mmengine asks one without them for mmdd.utils.register_all_modules, which there is not.
    assert len(OWN) >= 10
    for value in OWN.values():
        assert value._locations, value.name
        value.import_from_location()


def test_every_class_is_found_in_a_process_that_imported_the_registries_alone(tmp_path):
    kinds = registered()
    assert set(kinds) <= set(OWN) and 'HeldOut' in kinds['DATASETS']
    assert 'IDCSchedule' in kinds['TASK_UTILS'] and len(kinds['FORMATS']) == 4
    (tmp_path / 'find.py').write_text(FIND)
    out = processes.run(tmp_path / 'find.py', json.dumps(kinds))
    assert json.loads(out.splitlines()[-1]) == {name: [] for name in kinds}


def test_drawing_is_mmengines():
    assert registry.VISUALIZERS.get('Visualizer').__module__ == 'mmengine.visualization.visualizer'
