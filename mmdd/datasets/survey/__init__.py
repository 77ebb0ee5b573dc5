"""What a folder of somebody's data holds, one reader per format."""
from .base import Record, Survey
from .describe import describe_survey
from .read import FORMATS, read_survey

__all__ = ['FORMATS', 'Record', 'Survey', 'describe_survey', 'read_survey']
