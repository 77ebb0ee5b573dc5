"""Imports what most jobs need, for :func:`mmdd.utils.pool.worker_context`.

Nothing is computed here, so that no threads are running when a job is forked.
"""
import gc
import signal

from mmdd.utils.compat import setup

# Ctrl-C meanwhile ends the command that waits for this, which says so in a line.
before = signal.signal(signal.SIGINT, signal.SIG_IGN)
setup()

import mmdet.models  # noqa: E402, F401
import mmpretrain.models  # noqa: E402, F401
import mmseg.models  # noqa: E402, F401
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel  # noqa: E402, F401
from transformers import CLIPTextModel, CLIPTokenizer  # noqa: E402, F401

# Reading a data set asks for a garbage collection: in every job it would pass over all of this,
# half a second each time, and copy the memory that jobs share.
gc.collect()
gc.freeze()
# Jobs take it over.
signal.signal(signal.SIGINT, before)
