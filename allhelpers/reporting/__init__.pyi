__all__ = [
    "write_model_card",
    "write_report",
]

from .model_card import write_model_card as write_model_card
from .report import write_report as write_report
