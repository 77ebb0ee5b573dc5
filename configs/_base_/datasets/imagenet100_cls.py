# ImageNet-100: the 100 classes of ImageNet of the CMC and IDC papers in class folders,
# data/imagenet100/{train,val}/<wnid>. Labels are the positions in the sorted wnids.
_base_ = './imagenet_cls.py'
data_root = 'data/imagenet100/'
metainfo = dict(classes=(
    'robin', 'Gila monster', 'hognose snake', 'garter snake', 'green mamba', 'garden spider',
    'lorikeet', 'goose', 'rock crab', 'fiddler crab', 'American lobster', 'little blue heron',
    'American coot', 'Chihuahua', 'Shih-Tzu', 'papillon', 'toy terrier', 'Walker hound',
    'English foxhound', 'borzoi', 'Saluki', 'American Staffordshire terrier',
    'Chesapeake Bay retriever', 'vizsla', 'kuvasz', 'komondor', 'Rottweiler', 'Doberman',
    'boxer', 'Great Dane', 'standard poodle', 'Mexican hairless', 'coyote',
    'African hunting dog', 'red fox', 'tabby', 'meerkat', 'dung beetle', 'walking stick',
    'leafhopper', 'hare', 'wild boar', 'gibbon', 'langur', 'ambulance', 'bannister', 'bassinet',
    'boathouse', 'bonnet', 'bottlecap', 'car wheel', 'chime', 'cinema', 'cocktail shaker',
    'computer keyboard', 'Dutch oven', 'football helmet', 'gasmask', 'hard disc', 'harmonica',
    'honeycomb', 'iron', 'jean', 'lampshade', 'laptop', 'milk can', 'mixing bowl', 'modem',
    'moped', 'mortarboard', 'mousetrap', 'obelisk', 'park bench', 'pedestal', 'pickup', 'pirate',
    'purse', 'reel', 'rocking chair', 'rotisserie', 'safety pin', 'sarong', 'ski mask',
    'slide rule', 'stretcher', 'theater curtain', 'throne', 'tile roof', 'tripod', 'tub',
    'vacuum', 'window screen', 'wing', 'head cabbage', 'cauliflower', 'pineapple', 'carbonara',
    'chocolate sauce', 'gyromitra', 'stinkhorn'))
model = dict(head=dict(num_classes=100), data_preprocessor=dict(num_classes=100))

dataset = dict(type='CustomDataset', data_root=data_root, metainfo=metainfo)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
val_evaluator = dict(topk=(1, ))
test_evaluator = dict(topk=(1, ))
