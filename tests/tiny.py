"""Real components made tiny: digit scenes, a Faster R-CNN, a Stable Diffusion."""
import copy
import os.path as osp

from mmdd.datasets import DigitInstances
from mmdd.datasets.digit_scenes import CLASSES, DigitScenes

WORDS = list(CLASSES) + (
    'a an and photo of one two three four left right top bottom center at the large small '
    'overlapping above below on textured background').split()


def digit_scenes(root, train=12, size=32, singles=10):
    """A digit-scenes set of a few images."""
    return DigitScenes(str(root), num_scenes=dict(train=train, val=3, test=4),
                       num_singles=dict(train=singles, val=0, test=0), size=size).build()


def digit_instances(root, train=12, size=32):
    """The same scenes in COCO format, with a mask for each digit."""
    return DigitInstances(str(root), dict(train=train, val=3, test=4), size).build()


def stable_diffusion(**kwargs):
    """Config of a Stable Diffusion with some ten thousand random weights."""
    cfg = dict(
        type='mmdd.StableDiffusion', steps=3, cfg_scale=2.0, dtype='fp32',
        unet=dict(sample_size=8, block_out_channels=(16, 32), layers_per_block=1,
                  down_block_types=('DownBlock2D', 'CrossAttnDownBlock2D'),
                  up_block_types=('CrossAttnUpBlock2D', 'UpBlock2D'), cross_attention_dim=16,
                  attention_head_dim=4, norm_num_groups=8),
        vae=dict(block_out_channels=(8, 16, 16), norm_num_groups=4,
                 down_block_types=('DownEncoderBlock2D', ) * 3,
                 up_block_types=('UpDecoderBlock2D', ) * 3, sample_size=32),
        text_encoder=dict(hidden_size=16, intermediate_size=32, num_hidden_layers=1,
                          num_attention_heads=2),
        tokenizer=WORDS,
        scheduler=dict(type='DDIMScheduler', beta_start=0.00085, beta_end=0.012,
                       beta_schedule='scaled_linear'))
    cfg.update(kwargs)
    return cfg


def stable_diffusion_xl(**kwargs):
    """Config of an SDXL-Turbo with some ten thousand random weights."""
    cfg = stable_diffusion(
        type='mmdd.StableDiffusionXL', steps=1, cfg_scale=0.,
        text_encoder_2=dict(hidden_size=24, intermediate_size=32, num_hidden_layers=2,
                            num_attention_heads=2, projection_dim=16),
        tokenizer_2=WORDS[:12],
        scheduler=dict(type='EulerAncestralDiscreteScheduler', timestep_spacing='trailing',
                       beta_start=0.00085, beta_end=0.012, beta_schedule='scaled_linear'))
    cfg['unet'].update(
        cross_attention_dim=16 + 24, addition_embed_type='text_time', addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=16 + 6 * 8, use_linear_projection=True,
        transformer_layers_per_block=(1, 2))
    cfg['text_encoder'].update(num_hidden_layers=2)
    cfg.update(kwargs)
    return cfg


def detector(num_classes=10):
    """mmdet config of a Faster R-CNN that fits 32-pixel images."""
    return dict(
        type='FasterRCNN', _scope_='mmdet',
        data_preprocessor=dict(type='DetDataPreprocessor', mean=[123.675, 116.28, 103.53],
                               std=[58.395, 57.12, 57.375], bgr_to_rgb=True, pad_size_divisor=8),
        backbone=dict(type='ResNet', depth=18, base_channels=8, num_stages=2, strides=(1, 2),
                      dilations=(1, 1), out_indices=(0, 1), norm_cfg=dict(type='BN')),
        neck=dict(type='FPN', in_channels=[8, 16], out_channels=16, num_outs=2),
        rpn_head=dict(
            type='RPNHead', in_channels=16, feat_channels=16,
            anchor_generator=dict(type='AnchorGenerator', scales=[3], ratios=[1.0],
                                  strides=[4, 8]),
            bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[.0] * 4,
                            target_stds=[1.0] * 4),
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
            loss_bbox=dict(type='L1Loss', loss_weight=1.0)),
        roi_head=dict(
            type='StandardRoIHead',
            bbox_roi_extractor=dict(
                type='SingleRoIExtractor', out_channels=16, featmap_strides=[4, 8],
                roi_layer=dict(type='RoIAlign', output_size=4, sampling_ratio=2)),
            bbox_head=dict(
                type='Shared2FCBBoxHead', in_channels=16, fc_out_channels=16, roi_feat_size=4,
                num_classes=num_classes, reg_class_agnostic=True,
                bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[0.] * 4,
                                target_stds=[0.1, 0.1, 0.2, 0.2]),
                loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
                loss_bbox=dict(type='L1Loss', loss_weight=1.0))),
        train_cfg=dict(
            rpn=dict(
                assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.7, neg_iou_thr=0.3,
                              min_pos_iou=0.3, match_low_quality=True, ignore_iof_thr=-1),
                sampler=dict(type='RandomSampler', num=16, pos_fraction=0.5, neg_pos_ub=-1,
                             add_gt_as_proposals=False),
                allowed_border=-1, pos_weight=-1, debug=False),
            rpn_proposal=dict(nms_pre=50, max_per_img=20, nms=dict(type='nms', iou_threshold=0.7),
                              min_bbox_size=0),
            rcnn=dict(
                assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5,
                              min_pos_iou=0.5, match_low_quality=False, ignore_iof_thr=-1),
                sampler=dict(type='RandomSampler', num=16, pos_fraction=0.25, neg_pos_ub=-1,
                             add_gt_as_proposals=True),
                pos_weight=-1, debug=False)),
        test_cfg=dict(
            rpn=dict(nms_pre=50, max_per_img=20, nms=dict(type='nms', iou_threshold=0.7),
                     min_bbox_size=0),
            rcnn=dict(score_thr=0.01, nms=dict(type='nms', iou_threshold=0.5), max_per_img=10)))


def voc_dataset(root, split='train', images=True):
    """Stock VOCDataset on digit scenes."""
    pipeline = [dict(type='LoadAnnotations', with_bbox=True),
                dict(type='PackDetInputs',
                     meta_keys=('img_id', 'img_path', 'height', 'width', 'ori_shape',
                                'img_shape', 'scale_factor'))]
    if images:
        pipeline.insert(0, dict(type='LoadImageFromFile'))
    return dict(type='VOCDataset', _scope_='mmdet', data_root=str(root),
                ann_file=f'VOC2007/ImageSets/Main/{split}.txt',
                data_prefix=dict(sub_data_root='VOC2007/'), metainfo=dict(classes=CLASSES),
                pipeline=pipeline)


def detector_job(root, max_iters=2):
    """Stock mmdet training config of :func:`detector` on digit scenes."""
    loader = dict(batch_size=4, num_workers=0, dataset=voc_dataset(root))
    return dict(
        default_scope='mmdet', model=detector(), randomness=dict(seed=0),
        train_dataloader=dict(loader, sampler=dict(type='InfiniteSampler', shuffle=True)),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=max_iters),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01)),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=max_iters,
                                           by_epoch=False)),
        log_processor=dict(by_epoch=False))


def distill_job(root, proxy_checkpoint=None, total=4, guidance=5., threshold=0.0, **train_cfg):
    """Config of a UniDD job with tiny networks on digit scenes."""
    hooks = [dict(type='TaskGuidanceHook', scale=guidance)] if guidance else []
    return dict(
        default_scope='mmdd',
        model=dict(
            type='UniDD', image_size=32, diffusion=stable_diffusion(),
            proxy=dict(type='DetectorProxy', cfg=detector_job(root),
                       checkpoint=proxy_checkpoint, relabel_thr=0.0),
            prompter=dict(type='AnnotationPrompter', plural=''),
            refiners=[dict(type='ProxyRefiner', threshold=threshold)]),
        train_dataloader=dict(batch_size=4, num_workers=0,
                              dataset=voc_dataset(root, images=False)),
        train_cfg=dict(dict(type='DistillLoop', budget=dict(type='Total', n=total),
                            writer=dict(type='VOCWriter'), batch_size=2, max_rounds=1),
                       **train_cfg),
        optim_wrapper=dict(), custom_hooks=hooks,
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1), param_scheduler=None,
                           sampler_seed=None, checkpoint=None),
        model_wrapper_cfg=dict(type='MMSeparateDistributedDataParallel'),
        log_processor=dict(by_epoch=False))


def classification_job(root, n=1, **train_cfg):
    """Config of a job without a proxy: unguided single digits in class folders."""
    cfg = copy.deepcopy(distill_job(root, guidance=0, **train_cfg))
    cfg['model'] = dict(type='UniDD', image_size=32, diffusion=stable_diffusion(),
                        prompter=dict(type='ClassPrompter', plural=''))
    cfg['train_dataloader']['dataset'] = class_folders(root, images=False)
    cfg['train_cfg'].update(budget=dict(type='IPC', n=n), writer=dict(type='ClassFolderWriter'))
    return cfg


def coreset_job(root, model, total=4):
    """Config of a coreset job on digit scenes."""
    cfg = copy.deepcopy(distill_job(root, total=total, guidance=0))
    cfg['model'] = model
    return cfg


def read_stock(folder):
    """Boxes and labels of a distilled set through stock ``mmdet.VOCDataset``."""
    from mmdet.datasets import VOCDataset
    from mmdet.utils import register_all_modules
    register_all_modules(init_default_scope=False)
    dataset = VOCDataset(
        data_root=str(folder), ann_file='VOC2007/ImageSets/Main/train.txt',
        data_prefix=dict(sub_data_root='VOC2007/'), metainfo=dict(classes=CLASSES), pipeline=[])
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return {osp.basename(info['img_path']): [(i['bbox'], i['bbox_label'])
                                             for i in info['instances']] for info in infos}


def classifier(num_classes=10):
    """mmpretrain config of a ResNet that fits 32-pixel images."""
    return dict(
        type='ImageClassifier', _scope_='mmpretrain',
        data_preprocessor=dict(type='ClsDataPreprocessor', mean=[123.675, 116.28, 103.53],
                               std=[58.395, 57.12, 57.375], to_rgb=True),
        backbone=dict(type='ResNet', depth=18, stem_channels=8, base_channels=8, num_stages=2,
                      strides=(1, 2), dilations=(1, 1), out_indices=(1, )),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=num_classes, in_channels=16, topk=(1, )))


def class_folders(root, split='train', images=True):
    """Stock CustomDataset on the single digits."""
    pipeline = [dict(type='PackInputs', meta_keys=('img_path', ))]
    if images:
        pipeline.insert(0, dict(type='LoadImageFromFile'))
    return dict(type='CustomDataset', _scope_='mmpretrain', data_root=str(root),
                data_prefix=f'single/{split}', metainfo=dict(classes=CLASSES), pipeline=pipeline)


def _job(scope, model, dataset, max_iters, lr=0.01):
    """Stock training config of a few updates."""
    return dict(
        default_scope=scope, model=model, randomness=dict(seed=0),
        train_dataloader=dict(batch_size=4, num_workers=0, dataset=dataset,
                              sampler=dict(type='InfiniteSampler', shuffle=True)),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=max_iters),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=lr)),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=max_iters,
                                           by_epoch=False)),
        log_processor=dict(by_epoch=False))


def classifier_job(root, max_iters=8):
    """Stock mmpretrain training config of :func:`classifier` on single digits."""
    return _job('mmpretrain', classifier(), class_folders(root), max_iters, lr=0.1)


SEG_CLASSES = ('background', ) + CLASSES


def segmentor(num_classes=11):
    """mmseg config of an FCN that fits 32-pixel images."""
    norm_cfg = dict(type='BN')
    return dict(
        type='EncoderDecoder', _scope_='mmseg',
        data_preprocessor=dict(type='SegDataPreProcessor', mean=[123.675, 116.28, 103.53],
                               std=[58.395, 57.12, 57.375], bgr_to_rgb=True, size=(32, 32)),
        backbone=dict(type='ResNet', depth=18, stem_channels=8, base_channels=8, num_stages=2,
                      strides=(1, 2), dilations=(1, 1), out_indices=(0, 1), norm_cfg=norm_cfg),
        decode_head=dict(
            type='FCNHead', in_channels=16, in_index=1, channels=16, num_convs=1,
            concat_input=False, dropout_ratio=0.1, num_classes=num_classes, norm_cfg=norm_cfg,
            align_corners=False, loss_decode=dict(type='CrossEntropyLoss')),
        train_cfg=dict(), test_cfg=dict(mode='whole'))


def mask_dataset(root, split='train', images=True):
    """Stock mmseg dataset on digit scenes."""
    pipeline = [dict(type='LoadAnnotations'),
                dict(type='PackSegInputs', meta_keys=('img_path', 'seg_map_path'))]
    if images:
        pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
                    dict(type='PackSegInputs')]
    return dict(type='BaseSegDataset', _scope_='mmseg', data_root=f'{root}/VOC2007',
                ann_file=f'ImageSets/Segmentation/{split}.txt',
                data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
                metainfo=dict(classes=SEG_CLASSES), pipeline=pipeline)


def segmentor_job(root, max_iters=8):
    """Stock mmseg training config of :func:`segmentor` on digit scenes."""
    return _job('mmseg', segmentor(), mask_dataset(root), max_iters, lr=0.1)


def dit(learned_variance=False, num_classes=10, **kwargs):
    """Config of a DiT with some ten thousand random weights, for images of 32 pixels."""
    cfg = dict(
        type='mmdd.DiT', steps=3, cfg_scale=2.0, dtype='fp32',
        transformer=dict(num_attention_heads=2, attention_head_dim=8, num_layers=2, sample_size=8,
                         num_embeds_ada_norm=num_classes,
                         out_channels=8 if learned_variance else 4),
        vae=dict(block_out_channels=(8, 16, 16), norm_num_groups=4,
                 down_block_types=('DownEncoderBlock2D', ) * 3,
                 up_block_types=('UpDecoderBlock2D', ) * 3, sample_size=32),
        scheduler=dict(type='DDIMScheduler', beta_start=0.00085, beta_end=0.012,
                       beta_schedule='scaled_linear'))
    cfg.update(kwargs)
    return cfg


def fine_tune_job(root, max_iters=4, interval=2, **kwargs):
    """Stock training config of a Minimax fine-tuning of :func:`dit` on single digits."""
    dataset = class_folders(root)
    dataset['pipeline'] = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    return dict(
        default_scope='mmpretrain', randomness=dict(seed=0),
        model=dict(
            dict(type='mmdd.MinimaxFineTuner', diffusion=dit(), num_classes=10, memory_size=3,
                 lambda_r=.2, lambda_d=.8,
                 data_preprocessor=dict(type='mmpretrain.ClsDataPreprocessor', mean=[0.] * 3,
                                        std=[255.] * 3, to_rgb=True)), **kwargs),
        train_dataloader=dict(batch_size=3, num_workers=0, dataset=dataset,
                              sampler=dict(type='InfiniteSampler', shuffle=True)),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=max_iters),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(
            type='AdamW', lr=1e-3, weight_decay=0.)),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=interval,
                                           by_epoch=False)),
        custom_hooks=[dict(type='mmdd.FineTuneCheckHook')],
        log_processor=dict(by_epoch=False))


def lora_job(root, max_iters=4, **kwargs):
    """Stock training config of LoRA weights of :func:`stable_diffusion` on single digits."""
    cfg = fine_tune_job(root, max_iters)
    cfg['model'] = dict(
        dict(type='mmdd.LoRATrainer', diffusion=stable_diffusion(), rank=2, alpha=3.,
             prompter=dict(type='mmdd.ClassPrompter', plural=''),
             data_preprocessor=cfg['model']['data_preprocessor']), **kwargs)
    cfg['custom_hooks'] = [dict(type='mmdd.LoRAHook')]
    return cfg


def minimax_job(root, n=1, fine_tune=None, **model):
    """Config of a Minimax job with :func:`dit` on single digits."""
    cfg = classification_job(root, n)
    cfg['model'] = dict(dict(type='Minimax', image_size=32, diffusion=dit(),
                             fine_tune=fine_tune), **model)
    return cfg
