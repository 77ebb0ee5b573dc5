"""Every registry of mmdd says where its classes lie."""
from mmengine.registry import Registry

from mmdd import registry


def test_every_registry_has_locations():
    # mmengine asks one without them for mmdd.utils.register_all_modules, which there is not.
    own = [value for value in vars(registry).values()
           if isinstance(value, Registry) and value.scope == 'mmdd']
    assert len(own) >= 10
    for value in own:
        assert value._locations, value.name
        value.import_from_location()


def test_drawing_is_mmengines():
    assert registry.VISUALIZERS.get('Visualizer').__module__ == 'mmengine.visualization.visualizer'
