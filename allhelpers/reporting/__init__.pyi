__all__ = [
    "sentence_of_pair",
    "sentence_of_patients",
    "sentence_of_result",
    "sentence_of_size",
    "table_of_classes",
    "table_of_metrics",
    "write_model_card",
    "write_report",
]

from .model_card import write_model_card as write_model_card
from .report import write_report as write_report
from .sentences import sentence_of_pair as sentence_of_pair
from .sentences import sentence_of_patients as sentence_of_patients
from .sentences import sentence_of_result as sentence_of_result
from .sentences import sentence_of_size as sentence_of_size
from .sentences import table_of_classes as table_of_classes
from .sentences import table_of_metrics as table_of_metrics
