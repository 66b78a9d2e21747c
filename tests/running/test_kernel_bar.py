"""What a kernel's bar writes is shown on one line, and one line of it is kept."""

import nbformat
import pytest

from allhelpers.running import notebooks

BAR = """
import sys
for n in range(50):
    sys.stderr.write(f"\\rtraining: {2 * n}%|##| {n}/50 [00:01<00:02, 9epoch/s]")
    sys.stderr.flush()
sys.stderr.write("\\n")
print("done")
"""

FIGURE = """
from IPython.display import Image
from types import SimpleNamespace
plotting = SimpleNamespace(keep=lambda f: f, confusion_matrix=lambda: Image(bytes(8), format="png"))
plotting.keep(plotting.confusion_matrix())
"""


@pytest.fixture
def bar(monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    bar = notebooks.KernelBar()
    yield bar
    bar.line.close()


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (["\rtraining:   1%|# | 1/99", "\rtraining:  20%|# | 2/99"], "    training:  20%|# | 2/99"),
        (["\ra:   1%|#| 1/9\ra:   2%|#| 2/9"], "    a:   2%|#| 2/9"),
        (["\rtraining: 100%|# | 99/99", "\n"], ""),
        (["some warning"], ""),
        ([f"\rtraining:  20%|{60 * '#'}| 2/99"], "    training:  20%|" + 30 * "#"),
    ],
)
def test_last_frame_is_shown_in_the_width_of_the_terminal(bar, written, shown):
    for text in written:
        bar.write(text)
    assert bar.line.desc == shown


def test_executed_notebook_keeps_one_line_of_a_bar_and_says_what_figures_show(tmp_path):
    cells = [nbformat.v4.new_code_cell(BAR), nbformat.v4.new_code_cell(FIGURE)]
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "in.ipynb")
    target = tmp_path / "out.ipynb"
    notebooks.execute(tmp_path / "in.ipynb", target, {}, project=tmp_path, label="1/1 in")
    (cell,) = [c for c in nbformat.read(target, 4).cells if "training" in c.source]
    streams = {output.name: output.text for output in cell.outputs}
    assert streams["stdout"] == "done\n"
    assert streams["stderr"].strip() == "training: 98%|##| 49/50 [00:01<00:02, 9epoch/s]"
    (figure,) = [c for c in nbformat.read(target, 4).cells if "confusion" in c.source]
    assert figure.outputs[0].metadata["image/png"]["alt"] == "Figure: confusion matrix"
