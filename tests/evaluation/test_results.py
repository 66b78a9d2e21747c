"""What README and documentation claim is what is kept in results/."""

import pandas as pd
import pytest

from allhelpers.evaluation import published
from allhelpers.evaluation.definitions import METRICS
from allhelpers.networks.registry import ARCHITECTURES
from benchmarks import tables
from tests.helpers import ROOT
from tools import results


@pytest.mark.parametrize("tool", [results, tables])
def test_tables_are_made_from_what_is_kept(tool):
    for name, made in tool.PAGES.items():
        assert made() in (ROOT / name).read_text(encoding="utf-8")


def test_every_kept_figure_has_its_interval_its_versions_and_its_command():
    measured = published.measured()
    networks = measured[measured["architecture"].isin(ARCHITECTURES)]
    assert networks[["versions", "command", "seed", "split", "device"]].notna().all().all()
    claimed = measured[measured["weighted_f1"].notna()]
    # Resampling can only raise the calibration error.
    for metric in set(METRICS) & set(measured) - {"calibration_error"}:
        known = claimed[claimed[metric].notna()]
        assert (known[f"{metric}_low"] <= known[metric] + 1e-9).all()
        assert (known[metric] <= known[f"{metric}_high"] + 1e-9).all()


def test_random_weights_claim_nothing(run_folder):
    rows = results.rows_of(run_folder)
    network = rows[rows["architecture"] == "mobilenet"].iloc[0]
    assert network["weights"] == "random"
    assert pd.isna(network[[*results.TESTED, "weighted_f1", "auroc", "auroc_low"]]).all()
    assert "not measured" in results.method_row(network)
    assert rows[rows["architecture"] == "area"]["auroc"].notna().all()
