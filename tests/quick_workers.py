"""Named in ``custom_imports``: worker processes of a job skip the layout of configs as well."""
from quick_jobs import skip_layout_of_configs

skip_layout_of_configs()
