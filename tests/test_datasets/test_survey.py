"""What a survey finds in folders of every format, sound and odd."""
import json

import numpy as np
import own_data
import pytest
from own_data import SHAPES, picture
from PIL import Image
from real_data import BLOOD, real, real_marks

from mmdd.datasets.survey import describe_survey, read_survey


def counts(survey):
    return {split: len(records) for split, records in survey.splits.items()}


def noted(survey, text):
    return any(text in line for line in survey.oddities)


def test_class_folders_with_splits(tmp_path):
    survey = read_survey(own_data.class_folders(tmp_path / 'shapes', splits=('train', 'valid')))
    assert (survey.format, survey.task, survey.classes) == ('class folders', 'cls', SHAPES)
    assert counts(survey) == dict(train=12, val=12)
    assert survey.images() == dict(circle=6, square=6)
    assert survey.made == '' and survey.measured == 'val'
    assert noted(survey, '2 classes have fewer than 10 training images (circle 6, square 6)')
    assert noted(survey, '12 file names occur in two splits')


def test_class_folders_without_splits_get_a_seeded_one(tmp_path):
    own_data.class_folders(tmp_path / 'shapes', per_class=10)
    first, again, other = (read_survey(tmp_path / 'shapes', seed=seed) for seed in (0, 0, 1))
    assert counts(first) == dict(train=16, val=4)
    assert first.images('val') == dict(circle=2, square=2)
    assert first.splits == again.splits and first.splits != other.splits
    assert noted(first, '4 of 20 images were drawn for one (seed 0)')


def test_class_folders_name_what_is_odd(tmp_path):
    root = own_data.class_folders(tmp_path / 'shapes', per_class=4)
    picture(root / 'loose.png')
    (root / 'triangle').mkdir()
    (root / 'circle/broken.png').write_bytes(b'no image')
    (root / 'circle/phone.heic').write_bytes(b'x')
    Image.new('L', (20, 30)).save(root / 'circle/grey.png')
    Image.new('RGB', (5000, 4)).save(root / 'circle/wide.png')
    survey = read_survey(root, 'cls')
    for text in ('1 images lie in no class folder', '1 folders hold no image and are no class',
                 '1 images cannot be read and are left out (circle/broken.png)',
                 '1 .heic files are not read', '1 images are grey',
                 '1 images are larger than 4096'):
        assert noted(survey, text), text
    assert sum(counts(survey).values()) == 10


def test_a_photograph_that_is_cut_off_is_left_out(tmp_path):
    """Its header is sound; a distillation would stop at it."""
    root = own_data.class_folders(tmp_path / 'shapes')
    whole = picture(root / 'circle/whole.jpg', (400, 300)).read_bytes()
    (root / 'circle/half.jpg').write_bytes(whole[:len(whole) // 2])
    survey = read_survey(root)
    assert noted(survey, '1 images cannot be read and are left out (circle/half.jpg)')
    assert sum(counts(survey).values()) == 13


def test_links_are_followed(tmp_path):
    own_data.class_folders(tmp_path / 'disk', per_class=4)
    for split in ('train', 'test'):
        (tmp_path / 'data').mkdir(exist_ok=True)
        (tmp_path / 'data' / split).symlink_to(tmp_path / 'disk')
    (tmp_path / 'disk/circle/up').symlink_to(tmp_path / 'disk')
    assert counts(read_survey(tmp_path / 'data')) == dict(train=8, test=8)


def test_labels_that_no_reader_knows_are_named(tmp_path):
    for i in range(3):
        picture(tmp_path / f'yolo/images/train/{i}.jpg')
        (tmp_path / 'yolo/labels/train').mkdir(parents=True, exist_ok=True)
        (tmp_path / f'yolo/labels/train/{i}.txt').write_text('0 0.5 0.5 0.2 0.2')
        picture(tmp_path / f'table/images/{i}.jpg')
    (tmp_path / 'table/labels.csv').write_text('file,label')
    for name, task, message in (
            ('yolo', 'auto', '3 text files have the name of an image, as labels of YOLO do '
                             '(labels/train/0.txt, labels/train/1.txt, labels/train/2.txt): '
                             'export them as COCO JSON or VOC XML'),
            ('yolo', 'det', 'export them as COCO JSON or VOC XML'),
            ('table', 'auto', 'tables of labels are not read (labels.csv): sort the images')):
        with pytest.raises(ValueError) as info:
            read_survey(tmp_path / name, task)
        assert message in str(info.value)


def test_archives_are_named(tmp_path):
    """Beside the folder that is taken, or with nothing beside them."""
    own_data.class_folders(tmp_path / 'flowers/mini')
    (tmp_path / 'flowers/whole.zip').write_bytes(b'x')
    survey = read_survey(tmp_path / 'flowers')
    assert noted(survey, 'whole.zip is not looked into; unpack what belongs to the data')
    (tmp_path / 'packed').mkdir()
    (tmp_path / 'packed/all.tar').write_bytes(b'x')
    with pytest.raises(ValueError, match='no images .*or unpack all.tar'):
        read_survey(tmp_path / 'packed')


def test_class_names_of_ones_own(tmp_path):
    root = own_data.class_folders(tmp_path / 'shapes')
    assert read_survey(root, classes=['ring', 'box']).classes == ('ring', 'box')
    with pytest.raises(ValueError, match='1 class names for 2 class folders'):
        read_survey(root, classes=['ring'])


def test_voc_layout(tmp_path):
    survey = read_survey(own_data.voc(tmp_path / 'VOC2007'))
    assert (survey.format, survey.task, survey.classes) == ('VOC', 'det', SHAPES)
    assert survey.layout == dict(kind='XMLDataset', root='')
    records = {r.image: r for own in survey.splits.values() for r in own}
    assert len(records) == 10
    first = records['JPEGImages/000.jpg']
    assert first.boxes == [(2, 4, 32, 30), (10, 8, 40, 36)] and first.ignored == (False, True)
    assert first.size == (40, 48)


def test_voc_lists_make_the_splits(tmp_path):
    root = own_data.voc(tmp_path / 'VOC2007')
    lists = root / 'ImageSets/Main'
    lists.mkdir(parents=True)
    for name, ids in (('train', '000 001 002'), ('val', '003'), ('trainval', '000 001 002 003'),
                      ('test', '004 005'), ('circle_train', '000')):
        (lists / f'{name}.txt').write_text('\n'.join(ids.split()) + '\n')
    survey = read_survey(root)
    assert counts(survey) == dict(train=3, val=1, test=2) and survey.measured == 'test'
    assert noted(survey, '4 annotated images are in no list')


def test_boxes_are_fitted_to_their_image(tmp_path):
    """What a distillation refuses is told, clipped or left out before it."""
    root = own_data.voc(tmp_path / 'VOC2007')
    own_data.xml(root / 'Annotations/000.xml', [('circle', 3, 5, 60, 31, 0),
                                                ('square', 9, 9, 9, 9, 0)])
    own_data.xml(root / 'Annotations/001.xml', [('circle', 3, 5, 33, 31, 0)], size=(40, 48))
    own_data.xml(root / 'Annotations/002.xml', [('circle', 3, 5, 33, 31, 0)], size=(0, 0))
    own_data.xml(root / 'Annotations/003.xml', [('circle', 0, 0, 49, 41, 0)])
    survey = read_survey(root)
    records = {r.image: r for own in survey.splits.values() for r in own}
    assert len(records) == 9 and survey.layout == dict(kind='CocoDataset')
    first = records['JPEGImages/000.jpg']
    assert first.boxes == [(2, 4, 48, 30)] and first.labels == ('circle', )
    assert first.ignored == (False, )
    assert records['JPEGImages/002.jpg'].boxes == [(2, 4, 32, 30)]
    assert records['JPEGImages/003.jpg'].boxes == [(-1, -1, 48, 40)], 'within a pixel'
    for text in ('1 boxes leave their image and are clipped to it (Annotations/000.xml)',
                 '1 boxes have no area inside their image and are left out (Annotations/000.xml)',
                 '1 annotations give another size than their image, as of photographs that were '
                 'scaled or turned later; they are left out, correct them (JPEGImages/001.jpg)'):
        assert noted(survey, text), text


def test_xml_beside_images(tmp_path):
    root = own_data.flat_voc(tmp_path / 'flat')
    (root / '000.png').unlink()
    picture(root / 'bare.png')
    survey = read_survey(root)
    assert survey.layout == dict(kind='CocoDataset')
    assert sum(counts(survey).values()) == 7
    assert noted(survey, '1 annotations have no image and are left out (000.xml)')
    assert noted(survey, '1 images have no annotation and are left out (bare.png)')


def test_roboflow_coco(tmp_path):
    root = own_data.roboflow(tmp_path / 'export')
    (root / 'train/train0.jpg').unlink()
    survey = read_survey(root)
    assert (survey.format, survey.task, survey.classes) == ('COCO', 'det', SHAPES)
    assert counts(survey) == dict(train=7, val=4)
    assert survey.splits['val'][0].boxes == [(3, 5, 33, 29)]
    assert noted(survey, '1 categories have no box or are not asked for and are left out (shapes)')
    assert noted(survey, 'train/_annotations.coco.json: 1 images are missing')


def test_a_damaged_coco_file_is_named(tmp_path):
    root = own_data.roboflow(tmp_path / 'export')
    (root / 'train/_annotations.coco.json').write_text('{"images": 3}')
    with pytest.raises(ValueError, match=r'1 JSON files hold no COCO annotations .*passed over '
                                         r'\(train/_annotations.coco.json\)'):
        read_survey(root)


@pytest.mark.parametrize('make', [own_data.roboflow, own_data.flat_voc])
def test_a_class_that_nothing_has_is_no_class(tmp_path, make):
    root = make(tmp_path / 'data')
    with pytest.raises(ValueError, match="--classes circel: nothing has this name; did you mean "
                                         "'circle'"):
        read_survey(root, classes=['square', 'circel'])


def test_coco_annotations_in_a_folder_of_their_own(tmp_path):
    root = tmp_path / 'coco'
    for split, number in (('train', 6), ('val', 2)):
        names = [f'{i:03d}.jpg' for i in range(number)]
        for i, name in enumerate(names):
            picture(root / f'{split}2017' / name, seed=i)
        own_data.coco_json(root / 'annotations', names, file=f'instances_{split}2017.json')
    survey = read_survey(root)
    assert counts(survey) == dict(train=6, val=2)
    assert survey.splits['val'][1].image == 'val2017/001.jpg'


def test_file_names_of_other_systems(tmp_path):
    for name in ('a', 'b', 'c'):
        picture(tmp_path / f'data/images/{name}.jpg')
    own_data.coco_json(tmp_path / 'data', [r'images\a.jpg', './images/b.jpg', 'images/c.jpg'],
                       file='all.json')
    survey = read_survey(tmp_path / 'data')
    assert sorted(record.image for own in survey.splits.values() for record in own) == [
        'images/a.jpg', 'images/b.jpg', 'images/c.jpg']


def test_images_without_an_object(tmp_path):
    root = own_data.roboflow(tmp_path / 'export')
    for split, number in (('train', 1), ('valid', 2)):
        path = root / split / '_annotations.coco.json'
        content = json.loads(path.read_text())
        content['annotations'] = content['annotations'][number:]
        path.write_text(json.dumps(content))
    survey = read_survey(root)
    assert counts(survey) == dict(train=8, val=4)
    assert noted(survey, 'train: 1 images have no object and are not trained on '
                         '(train/train0.jpg)')
    assert noted(survey, 'val: 2 images have no object (valid/valid0.jpg, valid/valid1.jpg)')


@pytest.mark.parametrize('folders, layout', [
    (dict(), ('images', 'masks', '.jpg', '.png')),
    (dict(images='', labels='', suffix='_mask'), ('', '', '.jpg', '_mask.png')),
    (dict(images='img_dir', labels='ann_dir', suffix='_label', palette=False),
     ('img_dir', 'ann_dir', '.jpg', '_label.png')),
])
def test_masks(tmp_path, folders, layout):
    root = own_data.masks(tmp_path / 'set', **folders)
    (root / 'classes.txt').write_text('background\nshape\n')
    survey = read_survey(root)
    assert (survey.format, survey.task) == ('masks', 'seg')
    assert survey.classes == ('background', 'shape')
    assert counts(survey) == dict(train=6, val=2)
    assert survey.layout == dict(train=layout, val=layout)
    assert survey.images() == dict(background=6, shape=6)


def test_masks_name_what_is_odd(tmp_path):
    root = own_data.masks(tmp_path / 'set')
    (root / 'classes.txt').write_text('background\n')
    Image.new('P', (5, 5)).save(root / 'masks/00.png')
    picture(root / 'images/bare.jpg')
    survey = read_survey(root)
    assert survey.classes == ('background', 'value 1')
    for text in ('masks hold values without a class name (1)',
                 '1 masks: is of another size, left out with their images (masks/00.png)',
                 '1 images have no mask'):
        assert noted(survey, text), text
    (root / 'classes.txt').unlink()
    assert noted(read_survey(root), 'nothing names the classes')


def test_bad_folders_are_told_in_one_line(tmp_path):
    coloured = own_data.masks(tmp_path / 'coloured')
    Image.new('RGB', (48, 40)).save(coloured / 'masks/00.png')
    binary = own_data.masks(tmp_path / 'binary')
    for path in (binary / 'masks').iterdir():
        Image.fromarray(255 * np.eye(40, 48, dtype=np.uint8)).save(path)
    (tmp_path / 'empty').mkdir()
    picture(tmp_path / 'one/train/only/1.png')
    for folder, task, message in (
            ('nowhere', 'auto', 'is no folder'), ('empty', 'auto', 'no images'),
            ('coloured', 'auto', '1 masks are coloured'), ('binary', 'auto', '0 and 255 alone'),
            ('one', 'cls', '1 class folders'), ('one', 'det', 'no boxes in it'),
            ('one', 'seg', 'no masks in it'), ('one', 'pose', "task 'pose' is none of")):
        with pytest.raises((ValueError, FileNotFoundError)) as info:
            read_survey(str(tmp_path / folder), task)
        assert message in str(info.value) and '\n' not in str(info.value)


def test_description(tmp_path):
    survey = read_survey(own_data.voc(tmp_path / 'VOC2007'))
    lines = describe_survey(survey)
    assert lines[0].endswith('VOC2007: VOC, object detection')
    assert lines[1] == ('images: train 8, val 2 (val drawn here); students are measured on val')
    assert lines[2] == 'sizes: 48x40, all' and lines[3] == 'boxes: 16 in train, 2.0 per image'


class TestRealSets:
    pytestmark = real_marks('bccd', 'camvid', 'cifar10', 'voc2012')

    def test_blood_cells(self):
        survey = read_survey(real('bccd'))
        assert survey.classes == tuple(sorted(BLOOD)) and survey.oddities == []
        assert counts(survey) == dict(train=205, val=87, test=72)
        assert survey.objects() == dict(Platelets=209, RBC=2381, WBC=214)

    def test_street_scenes(self):
        survey = read_survey(real('camvid'))
        assert counts(survey) == dict(train=367, val=101, test=233)
        assert survey.images()['class 10'] == 201 and len(survey.classes) == 11

    def test_tiny_pictures(self):
        survey = read_survey(real('cifar10'))
        assert counts(survey) == dict(train=200, test=100)
        assert set(survey.sizes.values()) == {(32, 32)}

    def test_both_tasks_of_voc(self):
        boxes, segments = read_survey(real('voc2012')), read_survey(real('voc2012'), 'seg')
        assert noted(boxes, 'the folder also holds masks: --task seg takes them')
        assert counts(boxes) == counts(segments) == dict(train=528, val=311)
        assert len(boxes.classes) == 20 and len(segments.classes) == 21
