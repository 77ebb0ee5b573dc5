# ImageNet-100 as a distiller reads it.
_base_ = './imagenet_real_cls.py'
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
train_dataloader = dict(
    dataset=dict(type='CustomDataset', data_root='data/imagenet100/', metainfo=metainfo))
