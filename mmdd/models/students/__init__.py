"""Networks that students use and mm* does not have; teachers, and the labels that they write."""
from .cifar_resnet import CIFARResNet
from .convnet import ConvNet
from .dsa import DSA
from .lraspp_head import AdaptiveLRASPPHead
from .resnet_ap import ResNetAP
from .soft_label_classifier import SoftLabelClassifier

__all__ = [
    'DSA', 'AdaptiveLRASPPHead', 'CIFARResNet', 'ConvNet', 'ResNetAP', 'SoftLabelClassifier',
]
