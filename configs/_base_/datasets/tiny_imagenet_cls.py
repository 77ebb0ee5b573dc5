# Tiny ImageNet, 200 classes of 64x64 images: data/tiny_imagenet/train/<wnid>, and the
# validation images with the list meta/val.txt that tools/dataset_converters/tiny_imagenet.py
# writes. What is measured, in the val slot as in the test slot, is the validation set.
_base_ = './cifar10_cls.py'
data_root = 'data/tiny_imagenet/'
metainfo = dict(classes=(
    'goldfish', 'European fire salamander', 'bullfrog', 'tailed frog', 'American alligator',
    'boa constrictor', 'trilobite', 'scorpion', 'black widow', 'tarantula', 'centipede', 'goose',
    'koala', 'jellyfish', 'brain coral', 'snail', 'slug', 'sea slug', 'American lobster',
    'spiny lobster', 'black stork', 'king penguin', 'albatross', 'dugong', 'Chihuahua',
    'Yorkshire terrier', 'golden retriever', 'Labrador retriever', 'German shepherd',
    'standard poodle', 'tabby', 'Persian cat', 'Egyptian cat', 'cougar', 'lion', 'brown bear',
    'ladybug', 'fly', 'bee', 'grasshopper', 'walking stick', 'cockroach', 'mantis', 'dragonfly',
    'monarch', 'sulphur butterfly', 'sea cucumber', 'guinea pig', 'hog', 'ox', 'bison', 'bighorn',
    'gazelle', 'Arabian camel', 'orangutan', 'chimpanzee', 'baboon', 'African elephant',
    'lesser panda', 'abacus', 'academic gown', 'altar', 'apron', 'backpack', 'bannister',
    'barbershop', 'barn', 'barrel', 'basketball', 'bathtub', 'beach wagon', 'beacon', 'beaker',
    'beer bottle', 'bikini', 'binoculars', 'birdhouse', 'bow tie', 'brass', 'broom', 'bucket',
    'bullet train', 'butcher shop', 'candle', 'cannon', 'cardigan', 'cash machine', 'CD player',
    'chain', 'chest', 'Christmas stocking', 'cliff dwelling', 'computer keyboard',
    'confectionery', 'convertible', 'crane', 'dam', 'desk', 'dining table', 'drumstick',
    'dumbbell', 'flagpole', 'fountain', 'freight car', 'frying pan', 'fur coat', 'gasmask',
    'go-kart', 'gondola', 'hourglass', 'iPod', 'jinrikisha', 'kimono', 'lampshade', 'lawn mower',
    'lifeboat', 'limousine', 'magnetic compass', 'maypole', 'military uniform', 'miniskirt',
    'moving van', 'nail', 'neck brace', 'obelisk', 'oboe', 'organ', 'parking meter', 'pay-phone',
    'picket fence', 'pill bottle', 'plunger', 'pole', 'police van', 'poncho', 'pop bottle',
    "potter's wheel", 'projectile', 'punching bag', 'reel', 'refrigerator', 'remote control',
    'rocking chair', 'rugby ball', 'sandal', 'school bus', 'scoreboard', 'sewing machine',
    'snorkel', 'sock', 'sombrero', 'space heater', 'spider web', 'sports car',
    'steel arch bridge', 'stopwatch', 'sunglasses', 'suspension bridge', 'swimming trunks',
    'syringe', 'teapot', 'teddy', 'thatch', 'torch', 'tractor', 'triumphal arch', 'trolleybus',
    'turnstile', 'umbrella', 'vestment', 'viaduct', 'volleyball', 'water jug', 'water tower',
    'wok', 'wooden spoon', 'comic book', 'plate', 'guacamole', 'ice cream', 'ice lolly',
    'pretzel', 'mashed potato', 'cauliflower', 'bell pepper', 'mushroom', 'orange', 'lemon',
    'banana', 'pomegranate', 'meat loaf', 'pizza', 'potpie', 'espresso', 'alp', 'cliff',
    'coral reef', 'lakeside', 'seashore', 'acorn'))
model = dict(head=dict(num_classes=200), data_preprocessor=dict(num_classes=200))

# A no-op for the real images; distilled ones may be larger.
resize = dict(type='Resize', scale=(64, 64))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    resize,
    dict(type='RandomCrop', crop_size=64, padding=8),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='LoadImageFromFile'), resize, dict(type='PackInputs')]

train_dataloader = dict(
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='meta/val.txt',
        data_prefix='val/images',
        metainfo=metainfo,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(topk=(1, 5))
test_evaluator = val_evaluator
