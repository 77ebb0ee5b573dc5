"""Registered components: diffusions, proxies, distillers, coresets and their parts."""
from .candidates import *  # noqa: F401,F403
from .coresets import *  # noqa: F401,F403
from .diffusions import *  # noqa: F401,F403
from .distillers import *  # noqa: F401,F403
from .initializers import *  # noqa: F401,F403
from .label_samplers import *  # noqa: F401,F403
from .prompters import *  # noqa: F401,F403
from .proxies import *  # noqa: F401,F403
from .refiners import *  # noqa: F401,F403
from .set_stages import *  # noqa: F401,F403
from .statistics import *  # noqa: F401,F403
from .students import *  # noqa: F401,F403
