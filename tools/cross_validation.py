"""Cross-validate the recipe by patient: every method on every patient once, without notebooks.

    python tools/cross_validation.py IMAGES [--weights NETWORK=FILE ...] [--parts 5]
    python tools/cross_validation.py IMAGES --ablation sweeps/ablation.yaml [--weights ...]

The first writes results/cross_validation.csv, one row per method over the test cells of all parts
together, with the interval of the bootstrap of patients; and results/patients.csv, how wide that
interval is with fewer patients. The second writes results/ablation.csv, one row per variant of a
sweep file, with what it gains over the first. `allhelpers run --settings settings/recipe.yaml
--split patient:1/5,...` and `allhelpers sweep sweeps/ablation.yaml` give the same predictions, with
notebooks, figures and reports.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from allhelpers import evaluation, networks, training
from allhelpers._core.files import write_csv
from allhelpers._core.machine import packages
from allhelpers.data import loading, tables
from allhelpers.evaluation import baselines, comparison
from allhelpers.inference.ensembles import mean_of
from allhelpers.networks.registry import CLASSICAL, ENSEMBLE
from allhelpers.running import parameters
from allhelpers.running.planning import plan_run
from allhelpers.running.sweep import read_sweep

RECIPE = ROOT / "settings" / "recipe.yaml"
TITLE = "What each part of the recipe brings: MobileNet, cross-validation by patient"
NEEDED = (3, 5, 10, 15, 20, 25)  # patients of each class
DRAWS, CLAIMED = 400, 40  # draws of patients, and those of which an interval is made


def network_predictions(name, plan, part_cells):
    """Calibrated test predictions of one network, trained as the recipe says."""
    settings, architecture = plan.settings_of(name), networks.get(name)
    source = networks.fetch(architecture, networks.locate(architecture, settings.weights))
    network = networks.build(architecture, settings, source, cells=part_cells)
    features = training.compute_features(network, part_cells)
    training.train(network, features, part_cells, quiet=True)
    if settings.calibrate:
        held_out = training.held_out_predictions(network, features, part_cells)
        network.set_temperature(evaluation.calibrate(held_out, temperature=True).temperature)
    return training.predict_cells(network, features, part_cells)


def classical_predictions(name, plan, part_cells):
    """Test predictions of one classical classifier."""
    settings = plan.settings_of(name)
    measured = training.classical.handcrafted_features(part_cells, settings.cache_folder)
    model, _ = training.classical.train(name, measured, part_cells, settings=settings)
    return training.classical.predict(model, measured, part_cells, refit=settings.refit)


def part_predictions(names, values):
    """Test predictions of every method in one part of the cross-validation, and their seconds."""
    plan = plan_run({**values, "architectures": ",".join(names)})
    cells, predicted, seconds = loading.prepare(plan.data), {}, {}
    for name in names:
        began = time.perf_counter()
        predict = classical_predictions if name in CLASSICAL else network_predictions
        predicted[name] = predict(name, plan, cells)
        seconds[name] = time.perf_counter() - began
        print(f"  {name}: {seconds[name]:.0f} s", flush=True)
    joined = [table for name, table in predicted.items() if name not in CLASSICAL]
    if len(joined) > 1:
        predicted[ENSEMBLE] = mean_of(joined)
    rows = cells.rows("test")
    for name, method in baselines.METHODS.items():
        predicted[name] = tables.tabulate(cells, rows, method(cells)[rows])
    return predicted, seconds


def tested(parts):
    """Test predictions of all parts together."""
    return pd.concat(parts, ignore_index=True).query("split == 'test'")


def over_all(predicted, seconds, command):
    """One row per method over all parts; wall seconds where something was trained."""
    rows = []
    for name, parts in predicted.items():
        together = tested(parts)
        facts = {"architecture": name, "runs": len(parts), "cells": len(together)}
        facts["patients"] = tables.patients_of(together).nunique()
        facts["seconds"] = round(seconds[name]) if name in seconds else None
        rows.append({**facts, **comparison.metric_columns(evaluation.measure(together))})
    return pd.DataFrame(rows).assign(command=command, versions=packages())


def by_patients(together):
    """How far a figure moves with so many patients of each class, drawn from these; and how wide an
    interval these few would have claimed.
    """
    random, rows = np.random.default_rng(0), []
    patients = together.groupby("label")["patient"].unique()
    for number in (number for number in NEEDED if number <= min(map(len, patients))):
        for draw in range(DRAWS):
            chosen = [random.choice(each, number, replace=False) for each in patients]
            few = together[together["patient"].isin(np.concatenate(chosen))]
            measured = evaluation.measure(few, resamples=200 if draw < CLAIMED else 0)["auroc"]
            claimed = measured.get("patients_high", np.nan) - measured.get("patients_low", np.nan)
            rows.append({"patients": number, "auroc": measured["value"], "claimed": claimed})
    drawn = pd.DataFrame(rows).groupby("patients")
    table = drawn["auroc"].quantile([0.025, 0.975]).unstack().set_axis(["low", "high"], axis=1)
    return table.assign(claimed=drawn["claimed"].median()).reset_index()


def ablated(path, given):
    """One row per variant of a sweep file over all its runs, and what it gains over the first."""
    predicted = {}
    for run in read_sweep(path, given, "runs"):
        name, cells = run.plan.networks[0], loading.prepare(run.plan.data)
        print(run.name, flush=True)
        predicted.setdefault(run.variant, []).append(network_predictions(name, run.plan, cells))
    together = {variant: tested(parts) for variant, parts in predicted.items()}
    first = next(iter(together.values()))
    rows = [
        {
            "variant": variant,
            "cells": len(table),
            "patients": tables.patients_of(table).nunique(),
            **comparison.metric_columns(evaluation.measure(table)),
            **comparison.gains(table, first),
        }
        for variant, table in together.items()
    ]
    return pd.DataFrame(rows)


def main(arguments=None):
    """Run all parts, then write both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images")
    parser.add_argument("--weights", nargs="*", default=[], metavar="NETWORK=FILE")
    parser.add_argument("--networks", default="mobilenet,vgg16,resnet50")
    parser.add_argument("--parts", type=int, default=5)
    parser.add_argument("--cache-folder", default="cache")
    parser.add_argument("--ablation", metavar="FILE", help="a sweep file: its variants instead")
    asked = parser.parse_args(arguments)
    given = {"images": asked.images, "allow_subset": True, "cache_folder": asked.cache_folder}
    if asked.weights:
        given["weights"] = dict(each.split("=", 1) for each in asked.weights)
    if asked.ablation:
        command = f"python tools/cross_validation.py IMAGES --ablation {asked.ablation}"
        table = ablated(asked.ablation, given).assign(title=TITLE, command=command)
        write_csv(ROOT / "results" / "ablation.csv", table)
        return
    values = {**parameters.read_file(RECIPE), **given}
    names = [*asked.networks.split(","), *CLASSICAL]
    predicted, seconds = {}, dict.fromkeys(names, 0)
    for number in range(1, asked.parts + 1):
        split = f"patient:{number}/{asked.parts}"
        print(split, flush=True)
        of_part, took = part_predictions(names, {**values, "split": split})
        for name, table in of_part.items():
            predicted.setdefault(name, []).append(table)
        seconds = {name: total + took[name] for name, total in seconds.items()}
    order = (*asked.networks.split(","), ENSEMBLE, *CLASSICAL, *baselines.METHODS)
    predicted = {name: predicted[name] for name in order if name in predicted}
    command = f"python tools/cross_validation.py IMAGES --networks {asked.networks}"
    write_csv(ROOT / "results" / "cross_validation.csv", over_all(predicted, seconds, command))
    write_csv(ROOT / "results" / "patients.csv", by_patients(tested(predicted[names[0]])))


if __name__ == "__main__":
    main()
