"""What happens around notebooks, shown on stubs: failures, retries, deaths, locks, second runs."""

import os
import pickle
import signal

import nbformat
import pandas as pd
import pytest

from allhelpers._core.errors import InputError
from allhelpers.data import manifest as manifests
from allhelpers.data.manifest import PROJECT_MANIFEST
from allhelpers.networks import pretrained
from allhelpers.running import notebooks
from allhelpers.running.planning import expand, folder_of, plan_run
from allhelpers.runs import Run
from tests.commands import IN_PROCESS, command, options, refused, use_stubs

TOY = {"architectures": "mobilenet", "weights": "random", "epochs": 3}
EPOCHS = {"mobilenet": 2, "vgg16": 3}
NAMES = ["1_data_split", "2_mobilenet", "3_comparison"]


@pytest.fixture
def executed(monkeypatch):
    """Names of the notebooks that are executed, as they are."""
    names, execute = [], notebooks.execute

    def noting(source, *arguments, **more):
        names.append(source.stem)
        execute(source, *arguments, **more)

    monkeypatch.setattr(notebooks, "execute", noting)
    return names


@pytest.fixture
def in_process(monkeypatch):
    """The real notebooks, in this process: for those that stop early."""
    monkeypatch.setattr(notebooks, "ENGINE", IN_PROCESS)


def test_a_run_is_planned_once_and_its_weights_found_once(stubs, tmp_path, monkeypatch):
    located, locate = [], pretrained.locate

    def noting(architecture, *more):
        located.append(architecture.name)
        return locate(architecture, *more)

    monkeypatch.setattr(pretrained, "locate", noting)
    plan = plan_run({**TOY, "architectures": "mobilenet,vgg16"})
    assert not plan.is_finished(tmp_path / "run")
    plan.run(tmp_path / "run")
    assert plan.is_finished(tmp_path / "run")
    assert located == ["mobilenet", "vgg16"]


def test_settings_of_a_method_are_what_its_notebook_gets(stubs, tmp_path):
    values = {**TOY, "architectures": "mobilenet,vgg16,svm", "epochs": {"vgg16": 9}, "seed": 3}
    plan = plan_run(values)
    names = [name for name, _ in plan.steps]
    assert names == ["1_data_split", "2_mobilenet", "2_vgg16", "2_classical", "3_comparison"]
    assert plan.settings_of("mobilenet").epochs == 100
    assert plan.settings_of("vgg16").epochs == 9
    assert plan.settings_of("vgg16").input_size == 224
    assert plan.settings_of("svm").seed == plan.data.seed == 3
    assert dict(plan.steps)["2_classical"]["classifiers"] == "svm"


def test_values_per_architecture_reach_their_notebook(stubs, tmp_path):
    given = options(architectures="mobilenet,vgg16", weights="random", epochs="mobilenet=2,vgg16=3")
    done = command("run", *given, "--output", tmp_path / "run")
    assert done.status == 0, done.err
    histories = {name: Run(tmp_path / "run").result(name).history() for name in EPOCHS}
    assert {name: len(history) for name, history in histories.items()} == EPOCHS


def test_what_has_finished_is_not_run_again(stubs, tmp_path, executed):
    for _ in range(2):
        done = command("run", *options(**TOY), "--output", tmp_path / "run")
    assert executed == NAMES
    assert done.out.count("finished already, not run again") == 3
    assert f"report: {tmp_path / 'run' / 'report.html'}" in done.out


def test_several_splits_become_several_runs_and_a_summary(stubs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command("run", *options(**TOY, split="patient:1/2,patient:2/2"), "--output", "cv")
    assert done.status == 0, done.err
    assert "MobileNet: 2 runs, 160 test cells" in done.out
    folders = [tmp_path / "cv" / f"patient-{number}of2-seed2019" for number in (1, 2)]
    results = [Run(folder).result("mobilenet") for folder in folders]
    patients = [set(result.predictions("test")["patient"]) for result in results]
    assert patients[0].isdisjoint(patients[1])
    (row,) = pd.read_csv(tmp_path / "cv" / "summary.csv").to_dict("records")
    each = [result.metrics()["test"]["auroc"]["value"] for result in results]
    assert row["auroc_mean"] == pytest.approx(sum(each) / 2)
    assert row["auroc_low"] <= row["auroc"] <= row["auroc_high"]


@pytest.mark.parametrize(
    ("values", "number"),
    [
        ({}, 1),
        ({"seed": 3}, 1),
        ({"seed": "1,2,3"}, 3),
        ({"split": "paper,patient", "seed": "1,2"}, 4),
    ],
)
def test_several_splits_and_seeds_are_all_combined(values, number):
    each = expand(values)
    assert len(each) == number
    assert len({folder_of(one, "runs") for one in each}) == number


def test_run_folder_of_the_settings_is_where_the_run_goes(stubs, tmp_path):
    plan = plan_run({**TOY, "run_folder": str(tmp_path / "named")})
    assert plan.run() == tmp_path / "named"
    assert plan.run(tmp_path / "other") == tmp_path / "other"
    assert "run_folder" not in Run(tmp_path / "other").settings()


@pytest.mark.parametrize("other", [{"epochs": 4}, {"seed": 0}])
def test_run_folder_with_other_settings_is_refused(stubs, tmp_path, other):
    run = Run(plan_run(TOY).run(tmp_path / "run"))
    before = run.settings_path.read_text()
    with pytest.raises(InputError, match=rf"other settings \(.*{[*other][0]}.*\).*--overwrite"):
        plan_run({**TOY, **other}).run(run.folder)
    assert run.settings_path.read_text() == before
    plan_run({**TOY, "epochs": 4}).run(run.folder, overwrite=True)
    assert run.settings()["epochs"] == {"mobilenet": 4}


def test_settings_under_their_former_names_are_the_same_settings(stubs, tmp_path):
    run = Run(plan_run({**TOY, "tta": 4}).run(tmp_path / "run"))
    run.settings_path.write_text(run.settings_path.read_text().replace("tta:", "average:"))
    assert plan_run({**TOY, "average": 4}).is_finished(run.folder)
    plan_run({**TOY, "tta": 4}).run(run.folder)
    with pytest.raises(InputError, match=r"other settings \(tta\)"):
        plan_run({**TOY, "average": 8}).run(run.folder)


def test_run_that_stopped_before_its_cells_were_known_can_be_given_other_settings(
    in_process, tmp_path
):
    wrong = {**TOY, "images": str(tmp_path / "nothing")}
    (tmp_path / "nothing").mkdir()
    for split in ("paper", "patient"):
        with pytest.raises(InputError, match="There is no image"):
            plan_run({**wrong, "split": split}).run(tmp_path / "run")


def test_folder_that_is_no_run_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="not the folder of a run"):
        plan_run(TOY).run(tmp_path, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_failing_notebook_is_named(in_process, tmp_path, cache, monkeypatch):
    """A manifest with an unknown label is found in the first notebook."""
    monkeypatch.chdir(tmp_path)
    table = manifests.read(PROJECT_MANIFEST)
    table.loc[5, "label"] = "aml"
    table.to_csv(tmp_path / "manifest.csv", index=False)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.bmp").write_bytes(b"BM")
    given = options(images="images", manifest="manifest.csv", weights="random", cache_folder=cache)
    done = command("run", *given, "--output", "run")
    stopped = tmp_path / "run" / "notebooks" / "1_data_split.ipynb"
    refused(done, "impossible label 'aml'", str(stopped))
    assert stopped.is_file()


def test_what_fails_is_tried_again_as_often_as_allowed(stubs, tmp_path, executed):
    (tmp_path / "request").write_text("failure")
    with pytest.raises(InputError, match=r"asked for \(stopped in .*2_mobilenet.ipynb\)") as error:
        plan_run(TOY).run(tmp_path / "run")
    assert error.value.notebook == str(Run(tmp_path / "run").notebook("2_mobilenet"))
    (tmp_path / "request").write_text("failure")
    plan_run(TOY).run(tmp_path / "run", retries=1)
    assert executed == ["1_data_split", "2_mobilenet", "2_mobilenet", "2_mobilenet", "3_comparison"]


def test_overwriting_is_not_repeated_by_a_second_try(stubs, tmp_path, executed):
    plan = plan_run({**TOY, "overwrite": True})
    plan.run(tmp_path / "run")
    executed.clear()
    (tmp_path / "request").write_text("failure")
    plan.run(tmp_path / "run", retries=1)
    assert executed == ["1_data_split", "2_mobilenet", "2_mobilenet", "3_comparison"]


def test_kernel_that_dies_is_one_sentence_and_the_next_try_ends(stubs, tmp_path, monkeypatch):
    plan = plan_run(TOY)
    (tmp_path / "request").write_text("failure")
    with pytest.raises(InputError, match="a failure that was asked for") as failure:
        plan.run(tmp_path / "run")
    sent = pickle.loads(pickle.dumps(failure.value))  # as Ray sends it to another process
    assert str(sent) == str(failure.value)
    assert sent.notebook == str(Run(tmp_path / "run").notebook("2_mobilenet"))
    use_stubs(monkeypatch, stubs, in_process=False)
    (tmp_path / "request").write_text("death")
    with pytest.raises(InputError, match="The kernel of 2_mobilenet died"):
        plan.run(tmp_path / "run")
    use_stubs(monkeypatch, stubs)
    plan.run(tmp_path / "run")
    assert plan.is_finished(tmp_path / "run")


def test_two_processes_in_one_run_folder_are_refused(stubs, tmp_path):
    folder = tmp_path / "run"
    with (
        notebooks.alone(folder),
        pytest.raises(InputError, match="Another process is running"),
    ):
        plan_run(TOY).run(folder)
    assert not folder.exists()


def test_interrupted_run_says_so_and_goes_on(stubs, tmp_path, monkeypatch, executed):
    execute = notebooks.execute

    def interrupted(source, *arguments, **more):
        if source.stem == "2_mobilenet":
            os.kill(os.getpid(), signal.SIGINT)
        execute(source, *arguments, **more)

    # Workers of pytest-xdist ignore Ctrl-C.
    monkeypatch.setattr(notebooks, "execute", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    done = command("run", *options(**TOY), "--output", tmp_path / "run")
    signal.signal(signal.SIGINT, before)
    assert (done.status, done.err.splitlines()[-1]) == (130, "error: interrupted")
    monkeypatch.setattr(notebooks, "execute", execute)
    assert command("run", *options(**TOY), "--output", tmp_path / "run").status == 0
    assert executed == NAMES


def test_notebook_is_finished_only_with_its_parameters_code_and_files(stubs, tmp_path):
    run = Run(plan_run(TOY).run(tmp_path / "run"))

    def finished(name, **changes):
        given = nbformat.read(stored[name], 4).metadata.papermill.parameters
        given |= changes
        return notebooks.shortfall(stubs / f"{name}.ipynb", run.folder, given) is None

    stored = {name: tmp_path / f"{name}.ipynb" for name in NAMES}
    for name, path in stored.items():
        path.write_text(run.notebook(name).read_text())
    assert finished("3_comparison")
    assert not finished("3_comparison", split="patient")
    run.report_path.unlink()
    assert not finished("3_comparison")
    assert finished("2_mobilenet")
    path = run.notebook("2_mobilenet")
    text, interrupted = path.read_text(), nbformat.read(path, 4)
    [cell for cell in interrupted.cells if cell.cell_type == "code"][-1].execution_count = None
    others = [text[: len(text) // 2], "", text.replace("result.finish", "result.other")]
    for odd in (*others, nbformat.writes(interrupted)):
        path.write_text(odd)
        assert not finished("2_mobilenet")
