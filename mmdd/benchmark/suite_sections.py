"""What each level of a suite file may hold."""
from typing import Any, Dict, List, Mapping, Optional, Union

from mmdd.utils.sections import Section

_PROTOCOLS = (Optional[Dict[str, Any]], None)
_SECONDS = (Optional[Dict[str, float]], dict(low=0))
_OPTIONS = (Optional[Dict[str, Any]], None)
_SEEDS = (Optional[List[int]], dict(low=0))
SECONDS: Section = dict(set=(float, dict(low=0)), student=(float, dict(low=0)))
SWEEP: Section = dict(label=(str, None), key=(str, None), values=(list, None),
                      configs=(dict, None))
METHOD: Section = dict(config=(Union[str, Mapping, List[str]], None), cfg_options=_OPTIONS,
                       curve=(str, None), sweep=(Optional[dict], None))
GROUP: Section = dict(
    methods=(Optional[dict], None), cfg_options=_OPTIONS, full=(Optional[bool], None),
    ablation=(Optional[List[str]], None), paper=(Optional[dict], None), protocols=_PROTOCOLS,
    seconds=_SECONDS)
SUITE: Section = dict(
    title=(str, None), groups=(dict, None), sets=(int, dict(low=1)), seeds=_SEEDS,
    full_seeds=_SEEDS, full=(Optional[bool], None),
    students=(Union[str, List[str]], None), protocols=_PROTOCOLS, seconds=_SECONDS)
